package conform

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// An altered half sends something else than it should, or lacks commands.
type altered struct {
	half
	alter func(text []byte) [][]byte // nil if it lacks the optional commands
	rest  [][]byte
}

func (a *altered) AppendNext(dst []byte) ([]byte, wc.Envelope, bool) {
	if a.alter == nil {
		return a.half.AppendNext(dst)
	}
	if len(a.rest) == 0 {
		if text, _, ok := a.half.AppendNext(nil); ok {
			a.rest = a.alter(text)
		}
	}
	if len(a.rest) == 0 {
		return dst, wc.Envelope{}, false
	}
	text := a.rest[0]
	a.rest = a.rest[1:]
	return append(dst, text...), wc.Envelope{}, true
}

// do does not support the optional commands if nothing is altered.
func (a *altered) do(c *command, message []byte) (string, error) {
	if a.alter == nil && slices.Contains(Optional, c.name) {
		return "", errUnsupported
	}
	return a.half.do(c, message)
}

var alterations = map[string]func(text []byte) [][]byte{
	"good": func(text []byte) [][]byte { return [][]byte{text} },
	"repeats an acknowledgement": func(text []byte) [][]byte {
		if bytes.Contains(text, []byte("CancelAcknowledged")) {
			return [][]byte{text, text}
		}
		return [][]byte{text}
	},
	"damages an outcome": func(text []byte) [][]byte {
		return [][]byte{bytes.Replace(text, []byte(`"payload":[1,`), []byte(`"payload":[3,`), 1)}
	},
	"supports nothing optional": nil,
	"sends no outcome": func(text []byte) [][]byte {
		if bytes.Contains(text, []byte("JobCompleted")) {
			return nil
		}
		return [][]byte{text}
	},
}

func pairOf(worker, coordinator string) *Pair {
	command := func(name string) Command {
		return Command{Args: []string{os.Args[0], behaviour + name}, Timeout: time.Minute}
	}
	return NewPair(command(worker), command(coordinator))
}

func TestPairOfReferencesPasses(t *testing.T) {
	p := pairOf("worker: good", "coordinator: good")
	defer p.Close()
	for _, c := range Checks(PairOfHalves) {
		result, err := p.Run(c)
		require.NoError(t, err)
		assert.Nil(t, result.Failure, c.Name)
	}
}

func TestPairReportsTheFirstMessageThatIsRefused(t *testing.T) {
	for _, c := range []struct {
		worker, coordinator, check string
		sent, wanted, got, why     string
	}{
		{"worker: repeats an acknowledgement", "coordinator: good", "pair/cancel",
			`message to the coordinator {"version":1,"message_id":3,`, "ok", "refused 0 InboundSequenceNotFresh", "the message itself is valid"},
		{"worker: damages an outcome", "coordinator: good", "pair/progress",
			`message to the coordinator {"version":1,"message_id":7,`, "a valid message", "workerchannel: replay digest mismatch", ""},
		{"worker: sends no outcome", "coordinator: good", "pair/progress",
			"command to the coordinator ended 18446744073709551615", `ok Outcome {"status":"Ok","payload":[1,2]}`, "ok 0 none", ""},
		{"worker: good", "does nothing", "pair/cancel",
			"command to the worker start 2", "ok", "refused 0 UnknownJobID", ""},
		{"does nothing", "coordinator: good", "pair/cancel",
			"command to the coordinator spawn_job 1 0 0 0 b", "ok", "refused 0 WorkerNotReady", ""},
	} {
		p := pairOf(c.worker, c.coordinator)
		at := slices.IndexFunc(Checks(PairOfHalves), func(check Check) bool { return check.Name == c.check })
		result, err := p.Run(Checks(PairOfHalves)[at])
		p.Close()
		require.NoError(t, err)
		f := result.Failure
		require.NotNil(t, f, c.worker)
		assert.Contains(t, f.Sent, c.sent)
		assert.Equal(t, c.wanted, f.Wanted)
		assert.Contains(t, f.Got, c.got)
		assert.Contains(t, f.Why, c.why)
		assert.Equal(t, "command to the coordinator new", strings.Join(strings.Fields(f.After[0])[:5], " "), "from the beginning")
		if strings.HasPrefix(c.worker, "worker: repeats") {
			assert.Equal(t, f.Sent, f.After[len(f.After)-1])
		}
	}
}

// What only looks may be missing; without a command on which the rest depends the check is not made.
func TestPairGoesOnWithoutOptionalCommands(t *testing.T) {
	for name, missing := range map[string]string{
		"pair/progress":           "",
		"pair/region":             "the coordinator does not support the command close_region",
		"pair/shutdown-when-idle": "the coordinator does not support the command shutdown_when_idle",
	} {
		p := pairOf("worker: supports nothing optional", "coordinator: supports nothing optional")
		at := slices.IndexFunc(Checks(PairOfHalves), func(check Check) bool { return check.Name == name })
		result, err := p.Run(Checks(PairOfHalves)[at])
		p.Close()
		require.NoError(t, err)
		assert.Nil(t, result.Failure, name)
		assert.Equal(t, missing, result.Missing)
	}
}

func TestPairThatCannotBeStartedIsAnError(t *testing.T) {
	for _, pair := range [][2]string{{"ends", "coordinator: good"}, {"worker: good", "ends"}} {
		p := pairOf(pair[0], pair[1])
		_, err := p.Run(Checks(PairOfHalves)[0])
		p.Close()
		assert.ErrorContains(t, err, "the program has ended (exit status 3); its standard error: no memory")
	}
}
