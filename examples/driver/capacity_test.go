package driver

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// A worker may say anything of its capacity, and at any time.
func TestAHostGivesAWorkerWhatItSaysItCanRunWhateverThatIs(t *testing.T) {
	silent, lead := 1, 1
	for name, test := range map[string]struct {
		says  string // one after the other, before there is a call
		given int
		lines int // in the log: what is no capacity is logged as any diagnostic is
	}{
		"nothing":                    {"", silent, 0},
		"zero":                       {"0", 0, 0},
		"one":                        {"1", 1 + lead, 0},
		"as many as possible":        {"1024", 1024 + lead, 0},
		"too many":                   {"1025", 1024 + lead, 0},
		"more than a number has":     {"18446744073709551616", 1024 + lead, 0},
		"more than a line has":       {strings.Repeat("9", 10_000), 1024 + lead, 0},
		"zeros in front":             {"0003", 3 + lead, 0},
		"the same twice":             {"3 3", 3 + lead, 0},
		"more":                       {"3 5", 5 + lead, 0},
		"less":                       {"5 3", 3 + lead, 0},
		"leaves":                     {"5 0", 0, 0},
		"stays":                      {"0 5", 5 + lead, 0},
		"negative":                   {"-1", silent, 1},
		"a sign":                     {"+4", silent, 1},
		"hexadecimal":                {"0x10", silent, 1},
		"a fraction":                 {"4.0", silent, 1},
		"a separator":                {"1_000", silent, 1},
		"no number":                  {"many", silent, 1},
		"digits of another alphabet": {"٣", silent, 1},
		"a number and then none":     {"3 many", 3 + lead, 1},
		"none and then a number":     {"many 3", 3 + lead, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			given := 0
			withHost(t, func(t *testing.T, h *Host) {
				synctest.Wait()
				ctx, cancel := context.WithCancel(t.Context())
				for range test.given + 20 {
					_ = do(h, ctx, "")
				}
				synctest.Wait()
				assert.Equal(t, test.given, given)
				cancel()
			}, WithLogger(slog.New(slog.NewTextHandler(&log, nil))), WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
				p.announce()
				for _, n := range strings.Fields(test.says) {
					p.sayCapacity(n)
				}
				for {
					op := p.receive()
					if op.Type() == wc.OpSpawnJob {
						given++
					}
					p.lets(op)
				}
			})))
			assert.Equal(t, test.lines, strings.Count(log.String(), categoryCapacity))
		})
	}
}

// A worker that says 0 while it has calls is to have none that it has not begun.
func TestAWorkerThatSaysZeroKeepsOnlyWhatItHasBegun(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		var answers []<-chan result
		for range 5 {
			answers = append(answers, do(h, t.Context(), ""))
			synctest.Wait()
		}
		for i, a := range answers {
			r := <-a
			require.NoError(t, r.err)
			assert.Equal(t, i == 0, string(r.payload) == "the first's", "call %d", i)
		}
	}, WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
		p.announce()
		p.sayCapacity("4")
		for range 5 { // one is the lead
			p.spawned()
		}
		require.NoError(t, p.half.Start(1))
		p.sayCapacity("0")
		for range 4 * 3 {
			p.lets(p.receive())
		}
		require.NoError(t, p.half.Complete(1, wc.OutcomeOk{Payload: []byte("the first's")}))
		require.NoError(t, p.half.CompleteShutdown())
		p.flush()
	}, serving(echo))))
}
