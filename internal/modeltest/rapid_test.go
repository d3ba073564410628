package modeltest

import (
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/model"
	"pgregory.net/rapid"
)

// A linkCall is one call of either application or of the transport between them. That the call is
// refused is nobody's fault; that a message is, would be.
type linkCall func(t *rapid.T, l *pairing)

// linkCalls draw the arguments of calls.
type linkCalls map[string]func(t *rapid.T) linkCall

var (
	linkJobs    = rapid.Uint64Range(1, 12)
	linkRegions = rapid.Uint64Range(1, 3)
	fewMessages = rapid.IntRange(1, 6)
)

// callsOfHost are the calls of the host that do not end a session.
var callsOfHost = linkCalls{
	"host spawns": func(t *rapid.T) linkCall {
		ids, region, payload := rapid.SliceOfN(linkJobs, 1, 4).Draw(t, "job ids"), linkRegions.Draw(t, "region"), model.FewPayloads.Draw(t, "payload")
		return func(t *rapid.T, l *pairing) {
			for _, id := range ids {
				_ = l.spawn(t, wc.SpawnJob{JobID: id, RegionID: region, Payload: payload})
			}
		}
	},
	"host cancels": func(t *rapid.T) linkCall {
		id, reason := linkJobs.Draw(t, "job id"), model.AnyText.Draw(t, "reason")
		return func(_ *rapid.T, l *pairing) { l.cancel(id, reason) }
	},
	"host closes a region": func(t *rapid.T) linkCall {
		id, seldom := linkRegions.Draw(t, "region"), rapid.IntRange(0, 3).Draw(t, "seldom")
		return func(t *rapid.T, l *pairing) {
			if seldom == 1 {
				l.closeRegion(t, id, "closed")
			}
		}
	},
	"host polls": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(_ *rapid.T, l *pairing) { _ = l.host.PollStatus(id) }
	},
	"host removes": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(t *rapid.T, l *pairing) {
			j, _ := l.host.Job(id)
			if state, err := l.host.RemoveJob(id); err == nil {
				require.Equal(t, j.State, state)
				l.settle(t, j)
			}
		}
	},
	"host reaps": func(t *rapid.T) linkCall {
		return func(t *rapid.T, l *pairing) { l.reap(t) }
	},
	"turns": func(t *rapid.T) linkCall {
		return func(_ *rapid.T, l *pairing) { l.host.AdvanceTurn(); l.worker.AdvanceTurn() }
	},
}

// callsOfWorker are the calls of the worker's application that do not end a session.
var callsOfWorker = linkCalls{
	"worker announces": func(t *rapid.T) linkCall {
		return func(_ *rapid.T, l *pairing) { _ = l.worker.Announce() }
	},
	"worker starts": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(_ *rapid.T, l *pairing) { _ = l.worker.Start(id) }
	},
	"worker reports": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(_ *rapid.T, l *pairing) { _ = l.worker.Report(id, "half") }
	},
	"worker completes": func(t *rapid.T) linkCall {
		id, outcome := linkJobs.Draw(t, "job id"), model.DrawOutcome(t, model.SmallPayload)
		return func(_ *rapid.T, l *pairing) { _ = l.complete(id, outcome) }
	},
	"worker answers": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(_ *rapid.T, l *pairing) { _ = l.answer(id) }
	},
	"worker diagnoses": func(t *rapid.T) linkCall {
		message := model.AnyText.Draw(t, "message")
		return func(_ *rapid.T, l *pairing) { _ = l.worker.Diagnose(wc.Diagnostic{Message: message}) }
	},
}

// callsOfCarrier are those of the transport.
var callsOfCarrier = linkCalls{
	"host sends": func(t *rapid.T) linkCall {
		n := fewMessages.Draw(t, "messages")
		return func(t *rapid.T, l *pairing) { l.send(t, n, l.host.DrainOutbox, &l.toWorker) }
	},
	"worker sends": func(t *rapid.T) linkCall {
		n := fewMessages.Draw(t, "messages")
		return func(t *rapid.T, l *pairing) { l.send(t, n, l.worker.DrainOutbox, &l.toHost) }
	},
	"host receives": func(t *rapid.T) linkCall {
		n := fewMessages.Draw(t, "messages")
		return func(t *rapid.T, l *pairing) { l.receiveByHost(t, n) }
	},
	"worker receives": func(t *rapid.T) linkCall {
		n := fewMessages.Draw(t, "messages")
		return func(t *rapid.T, l *pairing) { l.receiveByWorker(t, n) }
	},
	"all is carried and obeyed": func(t *rapid.T) linkCall {
		return func(t *rapid.T, l *pairing) { l.carry(t); l.obey() }
	},
}

// callsThatEnd end a session, seldom, or begin the next.
var callsThatEnd = linkCalls{
	"session ends, seldom": func(t *rapid.T) linkCall {
		switch rapid.IntRange(0, 30).Draw(t, "how") {
		case 15:
			return func(t *rapid.T, l *pairing) { l.takeOver(t) }
		case 16:
			return func(_ *rapid.T, l *pairing) { l.replaceWorker() }
		case 17:
			return func(_ *rapid.T, l *pairing) { _ = l.host.RequestShutdown("why") }
		case 18:
			return func(_ *rapid.T, l *pairing) { _ = l.host.ShutdownWhenIdle("why") }
		case 19:
			return func(_ *rapid.T, l *pairing) { _ = l.worker.Fail("why") }
		case 20:
			return func(_ *rapid.T, l *pairing) { _ = l.worker.CompleteShutdown() }
		}
		return func(t *rapid.T, l *pairing) { l.carry(t) }
	},
	"worker is replaced once it is closed": func(t *rapid.T) linkCall {
		return func(_ *rapid.T, l *pairing) {
			if l.worker.Closed() {
				l.replaceWorker()
			}
		}
	},
}

// drawCalls makes calls of several kinds in any order, checks after each, and returns them.
func (l *pairing) drawCalls(t *rapid.T, check func(*rapid.T), kinds ...linkCalls) (made []linkCall) {
	calls := map[string]func(*rapid.T){"": check}
	for _, kind := range kinds {
		for name, draw := range kind {
			calls[name] = func(t *rapid.T) {
				call := draw(t)
				call(t, l)
				made = append(made, call)
			}
		}
	}
	for range 20 {
		t.Repeat(calls)
	}
	return made
}

func noCheck(*rapid.T) {}

func TestNoHalfRefusesTheOtherAndEveryJobEndsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newPairing(wc.Limits{})
		l.drawCalls(t, noCheck, callsOfHost, callsOfWorker, callsOfCarrier, callsThatEnd)
		l.untilQuiet(t, l.work)
		require.Zero(t, l.host.InflightCount())
		require.Zero(t, l.worker.InflightCount())
		l.reap(t)
		require.Empty(t, l.lives, "every job is given back")
		require.Empty(t, slices.Collect(l.host.Regions()))
	})
}

func TestSameCallsGiveSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := model.DrawLimits(t)
		first, second := newPairing(limits), newPairing(limits)
		for _, call := range first.drawCalls(t, noCheck, callsOfHost, callsOfWorker, callsOfCarrier, callsThatEnd) {
			call(t, second)
		}
		require.Equal(t, first.sent, second.sent)
		require.True(t, reflect.DeepEqual(first, second))
	})
}
