package workerchannel

import (
	"fmt"
	"math"
	"reflect"
)

// The messages that must come to nothing in a world.

// everything returns all that a worker, or without a name the coordinator, could say under a number.
func everything(sender string, seqNo uint64) (all []onItsWay) {
	if all, ok := everythingOf[origin{sender, seqNo}]; ok {
		return all
	}
	say := func(ops ...Op) {
		for _, op := range ops {
			switch {
			case op.Type().Sender() == SenderCoordinator && sender == "":
				all = append(all, onItsWay{Envelope: NewEnvelope(Header{SeqNo: seqNo}, op)})
			case op.Type().Sender() == SenderWorker && sender != "":
				all = append(all, onItsWay{Envelope: NewWorkerEnvelope(sender, Header{SeqNo: seqNo}, op)})
			}
		}
	}
	say(BootstrapReady{sender}, BootstrapFailed{WorkerID: sender}, ShutdownWorker{}, ShutdownCompleted{}, Diagnostic{})
	for id := uint64(1); id <= 2; id++ {
		say(SpawnJob{JobID: id}, PollStatus{id}, CancelJob{JobID: id}, DrainJob{id}, FinalizeJob{id})
		say(JobCompleted{id, OutcomeErr{Message: outcomeMessage}}, CancelAcknowledged{id}, DrainCompleted{id}, FinalizeCompleted{id})
		for _, state := range []JobState{StateQueued, StateRunning, StateDraining, StateCompleted} {
			say(StatusSnapshot{JobID: id, State: state})
		}
	}
	everythingOf[origin{sender, seqNo}] = all
	return all
}

var everythingOf = map[origin][]onItsWay{}

// bootstraps is how many of a worker's messages in everything are bootstraps. They come first.
const bootstraps = 2

// judgeOutcasts gives the coordinator its own messages, what its present session has left behind, what comes
// from the ended session and from a worker that has not announced itself.
func judgeOutcasts(x *world) string {
	outcasts := [][]onItsWay{everything("", math.MaxUint64), everything("stranger", 0), everything("stranger", math.MaxUint64)[bootstraps:]}
	if n := len(x.c.retired.order); n > 0 {
		outcasts = append(outcasts, everything(x.c.retired.order[n-1].beginning, math.MaxUint64))
	}
	if x.c.session != nil {
		outcasts = append(outcasts, everything(x.c.worker, 0), everything(x.c.worker, x.c.lastSeen))
	}
	c := clone(x.c)
	return tryOutcasts(outcasts, "the host", c.HandleVerified, isRefusal, func() bool { return !reflect.DeepEqual(c, x.c) })
}

// judgeWorkerOutcasts gives the worker its own messages and what it has seen already; if it is closed, anything.
func judgeWorkerOutcasts(x *world) string {
	outcasts := [][]onItsWay{everything(x.w.id, math.MaxUint64), everything("", 0), everything("", x.w.lastSeen)}
	if x.w.Closed() {
		outcasts = append(outcasts, everything("", math.MaxUint64))
	}
	w := cloneWorker(x.w)
	expected := func(err error) bool { return isRefusal(err) || x.w.Closed() }
	return tryOutcasts(outcasts, "the worker", w.HandleVerified, expected, func() bool { return !reflect.DeepEqual(w, x.w) })
}

func tryOutcasts(outcasts [][]onItsWay, side string, receive func(Verified) error, expected func(error) bool, changed func() bool) string {
	for _, all := range outcasts {
		for _, l := range all {
			if err := receive(Verified{l.Envelope}); !expected(err) {
				return fmt.Sprint(refusalsChangeNothing, side, " receives ", l, ": ", err)
			}
		}
	}
	if changed() {
		return fmt.Sprint(refusalsChangeNothing, side, " receives what is not for it now")
	}
	return ""
}

const refusalsChangeNothing = "no refusal changes anything: "

// judgeRefusals makes all the moves that were refused in a world to one copy of it. It looks at what that did in
// the end or, which is slow, after each.
func judgeRefusals(x *world, refused []move) string {
	if len(refused) == 0 {
		return ""
	}
	if unchanged(x, refused, false) == "" {
		return ""
	}
	return unchanged(x, refused, true)
}

func unchanged(x *world, refused []move, each bool) string {
	y := x.clone()
	changed := func() bool { return !reflect.DeepEqual(x.c, y.c) || !reflect.DeepEqual(x.w, y.w) }
	for _, m := range refused {
		if m.do(y); each && changed() {
			return refusalsChangeNothing + m.in(x)
		}
	}
	if !each && changed() {
		return refusalsChangeNothing + "one of all these in a row"
	}
	return ""
}
