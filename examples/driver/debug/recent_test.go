package debug

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
)

// reached returns the memory that is reached from a value, beside its own.
func reached(v reflect.Value) (bytes int) {
	switch v.Kind() {
	case reflect.String:
		return rounded(v.Len())
	case reflect.Slice: // of bytes
		return rounded(v.Cap())
	case reflect.Pointer:
		if v.IsNil() || v.Type().Elem().Name() == "Location" { // which all times share
			return 0
		}
		return rounded(int(v.Elem().Type().Size())) + reached(v.Elem())
	case reflect.Interface:
		if v.IsNil() {
			return 0
		}
		return rounded(int(v.Elem().Type().Size())) + reached(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			bytes += reached(v.Field(i))
		}
	}
	return bytes
}

// rounded returns what the runtime takes for so many bytes.
func rounded(n int) int {
	if n == 0 {
		return 0
	}
	return cap(append([]byte(nil), make([]byte, n)...))
}

func TestWhatIsKeptIsCountedWithAllItsMemory(t *testing.T) {
	id := "w"
	for size := range 1200 {
		text := strings.Repeat("x", size)
		payload := make([]byte, 40*size)
		for _, op := range []wc.Op{
			wc.Diagnostic{}, wc.Diagnostic{Category: text, Message: text, Metadata: &text}, wc.StatusSnapshot{JobID: 1 << 40, Detail: &text},
			wc.SpawnJob{JobID: 1 << 40, Payload: payload}, wc.JobCompleted{JobID: 1 << 40, Outcome: wc.OutcomeOk{Payload: payload}},
			wc.JobCompleted{JobID: 1 << 40, Outcome: wc.OutcomeErr{Code: text, Message: text}}, wc.BootstrapReady{WorkerID: text},
			wc.BootstrapFailed{WorkerID: text, Reason: text}, wc.CancelJob{JobID: 1 << 40, Reason: text}, nil,
		} {
			r := recent{most: 1, payloads: true}
			r.add(driver.Event{Kind: driver.EventRefused, Err: errors.New(text), Envelope: wc.Envelope{WorkerID: &id, Op: op}})
			const pointers = 2 * 8 // in the list, which may be twice as long
			require.LessOrEqual(t, pointers+reached(reflect.ValueOf(r.list[0])), r.size, "%T of %d bytes", op, size)
		}
	}
}

func TestEventsOfAnySizeAreBoundedInAll(t *testing.T) {
	for _, size := range []int{0, 10, maxText, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			r := recent{most: 300_000, payloads: true}
			for range 40_000 {
				r.add(driver.Event{Kind: driver.EventReceived, Envelope: wc.Envelope{Op: wc.SpawnJob{Payload: make([]byte, size)}}})
				require.LessOrEqual(t, r.size, maxKept)
				if len(r.list) < int(r.last) {
					break
				}
			}
			assert.Less(t, len(r.list), int(r.last), "the oldest are dropped")
			all := 0
			for _, one := range r.list {
				all += one.kept
			}
			assert.Equal(t, r.size, all)
			assert.Greater(t, all, maxKept-(2<<20), "no more are dropped than must be")
		})
	}
}
