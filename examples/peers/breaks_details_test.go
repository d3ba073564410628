package peers

import (
	"flag"
	"testing"

	"github.com/workerchannel/workerchannel/examples/internal/conform"
)

// A detail is a mistake in something that is seldom tried, as it looks in two languages.
type detail struct {
	check, what    string
	python, golang change
}

// A change is a part of a mistake: the file, what stands there once, and what takes its place.
type change struct{ file, old, new string }

var compiled = flag.Bool("details.go", false, "make the mistakes in details also in Go, which is compiled for each: about a minute")

func testDetails(t *testing.T, half string, details []detail) {
	var python, golang []mistake
	for _, d := range details {
		python = append(python, mistake{d.check, d.what, d.python.file, d.python.old, d.python.new})
		golang = append(golang, mistake{d.check, d.what, d.golang.file, d.golang.old, d.golang.new})
	}
	t.Run("python", func(t *testing.T) { testMistakes(t, "python", half, python) })
	t.Run("go", func(t *testing.T) {
		if !*compiled {
			t.Skip("compiles the worker or the coordinator many times; run it with -details.go")
		}
		testMistakes(t, "go", half, golang)
	})
}

func TestMistakesInDetailsOfWorkersAreFound(t *testing.T) {
	testDetails(t, conform.WorkerHalf, []detail{
		{"wire/read-integers", "the ids of a job are doubles",
			change{"worker.py", `        op = e["op"]
`, `        op = {name: int(float(value)) if type(value) is int else value for name, value in e["op"].items()}
`},
			change{"flatop.go", "return SpawnJob{f.jobID, f.regionID, f.taskID,", "return SpawnJob{f.jobID, f.regionID, uint64(float64(f.taskID)),"}},
		{"wire/read-long", "strings of more than 64 KiB are refused",
			change{"envelope.py", "    if type(value) is not str:\n", "    if type(value) is not str or len(value) > 65536:\n"},
			change{"decode.go", "	hash, err := read(env, &f, data, known)\n", "	hash, err := read(env, &f, data, known)\n	if len(f.reason) > 65536 {\n		err = ErrMalformed\n	}\n"}},
		{"wire/read-forms", "what is read is normalized",
			change{"envelope.py", "value = parse(data.decode())", `value = parse(data.decode().replace("e\u0301", "\u00e9"))`},
			change{reference, "return onWire(env.Op), nil", `return strings.ReplaceAll(onWire(env.Op), "e\u0301", "\u00e9"), nil`}},
		{"wire/cannot-be-sent-first", "whether the worker is ready is looked at first",
			change{"worker.py", "        check_strings(*outcome.values())\n        self._need_ready()\n", "        self._need_ready()\n        check_strings(*outcome.values())\n"},
			change{"worker.go", "	f.set(op)\n	if err := f.checkValues(); err != nil {\n		return err\n	}\n	if err := w.checkReady(); err != nil {\n		return err\n	}\n", "	f.set(op)\n	if err := w.checkReady(); err != nil {\n		return err\n	}\n	if err := f.checkValues(); err != nil {\n		return err\n	}\n"}},
		{"wire/long", "strings of more than 64 KiB are not sent",
			change{"envelope.py", "if isinstance(value, str) and has_surrogate(value):\n            raise", "if isinstance(value, str) and (len(value) > 65536 or has_surrogate(value)):\n            raise"},
			change{"flatop.go", "if !utf8.ValidString(s) {", "if !utf8.ValidString(s) || len(s) > 65536 {"}},
		{"wire/long-optional", "a detail has 255 bytes",
			change{"worker.py", "        self._snapshot(job_id, detail)\n", "        self._snapshot(job_id, detail[:255])\n"},
			change{"worker.go", "	state, _ := w.JobState(jobID)\n", "	state, _ := w.JobState(jobID)\n	detail = detail[:min(len(detail), 255)]\n"}},
		{"wire/forms", "what is sent is normalized",
			change{"envelope.py", "default=list)  #", `default=list).replace("e\u0301", "\u00e9")  #`},
			change{"examples/internal/conform/command.go", `return string(c.tagged("s"))`, `return strings.ReplaceAll(string(c.tagged("s")), "e\u0301", "\u00e9")`}},
		{"reading/unknown-many", "an object has at most 255 members",
			change{"envelope.py", `value if isinstance(value, Object) else malformed("expected an object"):`, `value if isinstance(value, Object) and len(value) < 256 else malformed("expected an object"):`},
			change{"decode.go", "	var seen uint32 // a bit for each member\n	for name, ok := d.member(false); ok; name, ok = d.member(true) {\n", "	var seen uint32 // a bit for each member\n	count := 0\n	for name, ok := d.member(false); ok; name, ok = d.member(true) {\n		if count++; count > 255 {\n			d.fail(\"too many\")\n		}\n"}},
		{"reading/nul", "a name ends at NUL",
			change{"envelope.py", "        if name in shape or", `        name = name.split("\0")[0]
        if name in shape or`},
			change{"wire.go", "if m.String() == string(name) {", "if n := m.String(); n == string(name) || len(n) < len(name) && n+\"\\x00\" == string(name[:len(n)+1]) {"}},
		{"reading/longest", "a message has at most 1 MiB",
			change{"envelope.py", "        value = parse(data.decode())\n", "        value = parse(data[:1 << 20].decode())\n"},
			change{"decode.go", "	hash, err := read(env, &f, data, known)\n", "	hash, err := read(env, &f, data[:min(len(data), 1<<20)], known)\n"}},
		{"reading/unknown-twice", "a member of any operation may occur once",
			change{"envelope.py", "        if name in shape or", `        if name in sum(map(list, OPERATIONS.values()), []) or name in shape or`},
			change{"decode.go", "		case m == mNone:\n", "		case m == mNone && string(name) == mPayload.String() && seen&(1<<mPayload) == 0:\n			seen |= 1 << mPayload\n			d.skip()\n		case m == mNone && string(name) == mPayload.String():\n			d.fail(\"twice\")\n		case m == mNone:\n"}},
		{"job/high-bits", "ids have 53 bits",
			change{"worker.py", `job_id = op.get("job_id")`, `job_id = op.get("job_id", 0) & (1 << 53) - 1`},
			change{"table.go", "v, ok = t.m[id]", "v, ok = t.m[id&(1<<53-1)]"}},
		{"job/two-thousand", "there are at most 1,000 jobs",
			change{"worker.py", "if job_id in self.jobs:\n                    raise", "if job_id in self.jobs or len(self.jobs) == 1000:\n                    raise"},
			change{"worker.go", "	if j.state == untracked {\n		j.regionID", "	if w.jobs.len() == 1000 {\n		return &JobError{Kind: ErrDuplicateJobID}\n	}\n	if j.state == untracked {\n		j.regionID"}},
		{"session/fail-outbox", "what is queued is dropped before the last message",
			change{"worker.py", "        self.phase = \"closed\"\n        self._send(last)", "        self.phase = \"closed\"\n        self.outbox.clear()\n        self._send(last)"},
			change{"worker.go", "	w.send(last)\n", "	w.out.clear()\n	w.send(last)\n"}},
		{"shutdown/spawn", "a job is refused during a shutdown",
			change{"worker.py", "if job_id in self.jobs:\n                    raise", "if self.shutdown_requested or job_id in self.jobs:\n                    raise"},
			change{"worker.go", "		return w.spawn(op)\n", "		if w.shutdown {\n			return &JobError{Kind: ErrDuplicateJobID}\n		}\n		return w.spawn(op)\n"}},
		{"shutdown/again", "a second request for shutdown is refused",
			change{"worker.py", "                self.shutdown_requested = True\n", "                if self.shutdown_requested:\n                    raise Refused(\"ShutdownInProgress\")\n                self.shutdown_requested = True\n"},
			change{"worker.go", "		w.shutdown = true\n", "		if w.shutdown {\n			return ErrShutdownInProgress\n		}\n		w.shutdown = true\n"}},
		{"shutdown/open-jobs", "a shutdown is not completed while jobs are open",
			change{"worker.py", `        self._close({"type": "ShutdownCompleted"})`, `        if self.jobs:
            raise Refused("WorkerNotReady")
        self._close({"type": "ShutdownCompleted"})`},
			change{"worker.go", "	w.close(ShutdownCompleted{})\n", "	if w.jobs.len() > 0 {\n		return ErrWorkerNotReady\n	}\n	w.close(ShutdownCompleted{})\n"}},
		{"job/states", "a closed worker has its jobs still",
			change{"worker.py", "        self.jobs.clear()\n", ""},
			change{"worker.go", "	w.jobs = table[*workerJob]{}\n", ""}},
		{"numbers/not-compared", "message ids must rise",
			change{"worker.py", `if e["seq_no"] <= self.last_seen:`, `if min(e["seq_no"], e["message_id"]) <= self.last_seen:`},
			change{"worker.go", "if env.SeqNo <= w.lastSeen {", "if min(env.SeqNo, env.MessageID) <= w.lastSeen {"}},
		{"numbers/not-compared", "decision numbers are sequence numbers",
			change{"worker.py", `if e["seq_no"] <= self.last_seen:`, `if e["seq_no"] <= self.last_seen or e["decision_seq"] < e["seq_no"]:`},
			change{"worker.go", "if env.SeqNo <= w.lastSeen {", "if env.SeqNo <= w.lastSeen || env.DecisionSeq < env.SeqNo {"}},
		{"numbers/every-message", "a poll does not count",
			change{"worker.py", `        self.last_seen = e["seq_no"]
`, `        if op["type"] != "PollStatus":
            self.last_seen = e["seq_no"]
`},
			change{"worker.go", "	w.lastSeen = env.SeqNo\n", "	if env.Op.Type() != OpPollStatus {\n		w.lastSeen = env.SeqNo\n	}\n"}},
		{"job/report", "whether the worker is ready is looked at before the detail",
			change{"worker.py", "        check_strings(detail)\n        self._need_ready()\n", "        self._need_ready()\n        check_strings(detail)\n"},
			change{"worker.go", "	if err := checkString(\"detail\", detail); err != nil {\n", "	if err := w.checkReady(); err != nil {\n		return err\n	}\n	if err := checkString(\"detail\", detail); err != nil {\n"}},
	})
}

const reference = "examples/internal/conform/reference.go"

func TestMistakesInDetailsOfCoordinatorsAreFound(t *testing.T) {
	const sameWorker = "        if sender == self.worker:\n            if seq_no"
	const sameGo = "worker == c.worker {"
	testDetails(t, conform.CoordinatorHalf, []detail{
		{"wire/read-long", "strings of more than 64 KiB are refused",
			change{"envelope.py", "    if type(value) is not str:\n", "    if type(value) is not str or len(value) > 65536:\n"},
			change{"decode.go", "	hash, err := read(env, &f, data, known)\n", "	hash, err := read(env, &f, data, known)\n	if len(f.workerID) > 65536 {\n		err = ErrMalformed\n	}\n"}},
		{"wire/read-forms", "worker ids are normalized",
			change{"coordinator.py", sameWorker, "        if self.worker is not None and sender.replace(\"e\\u0301\", \"\\u00e9\") == self.worker:\n            if seq_no"},
			change{"session.go", sameGo, `strings.ReplaceAll(worker, "e\u0301", "\u00e9") == c.worker {`}},
		{"wire/cannot-be-sent-first", "a shutdown is looked at before the reason",
			change{"coordinator.py", "        check_strings(reason)\n        if self.shutdown_requested:\n            raise Refused(\"ShutdownInProgress\")\n", "        if self.shutdown_requested:\n            raise Refused(\"ShutdownInProgress\")\n        check_strings(reason)\n"},
			change{"coordinator.go", "	if err := checkString(\"reason\", reason); err != nil {\n		return err\n	}\n	if c.shutdown {\n		return ErrShutdownInProgress\n	}\n	return nil\n", "	if c.shutdown {\n		return ErrShutdownInProgress\n	}\n	return checkString(\"reason\", reason)\n"}},
		{"wire/long", "strings of more than 64 KiB are not sent",
			change{"envelope.py", "if isinstance(value, str) and has_surrogate(value):\n            raise", "if isinstance(value, str) and (len(value) > 65536 or has_surrogate(value)):\n            raise"},
			change{"flatop.go", "if !utf8.ValidString(s) {", "if !utf8.ValidString(s) || len(s) > 65536 {"}},
		{"wire/forms", "what is sent is normalized",
			change{"envelope.py", "default=list)  #", `default=list).replace("e\u0301", "\u00e9")  #`},
			change{"examples/internal/conform/command.go", `return string(c.tagged("s"))`, `return strings.ReplaceAll(string(c.tagged("s")), "e\u0301", "\u00e9")`}},
		{"job/high-bits", "ids have 53 bits",
			change{"coordinator.py", `job_id = op.get("job_id")`, `job_id = op.get("job_id", 0) & (1 << 53) - 1`},
			change{"table.go", "v, ok = t.m[id]", "v, ok = t.m[id&(1<<53-1)]"}},
		{"job/order", "a region is cancelled in the order of signed ids",
			change{"coordinator.py", `for i in sorted(self.jobs) if self.jobs[i]["region_id"]`, `for i in sorted(self.jobs, key=lambda i: i - (i >> 63 << 64)) if self.jobs[i]["region_id"]`},
			change{"jobs.go", "cmp.Compare(a.id, b.id)", "cmp.Compare(int64(a.id), int64(b.id))"}},
		{"job/order", "jobs are reaped in the order of signed ids",
			change{"coordinator.py", `for i in sorted(self.jobs) if self.jobs[i]["state"] in ENDED]`, `for i in sorted(self.jobs, key=lambda i: i - (i >> 63 << 64)) if self.jobs[i]["state"] in ENDED]`},
			change{"jobs.go", "cmp.Compare(a.JobID, b.JobID)", "cmp.Compare(int64(a.JobID), int64(b.JobID))"}},
		{"job/two-thousand", "there are at most 1,000 jobs",
			change{"coordinator.py", "        if job_id in self.jobs:\n            raise Refused(\"Dup", "        if job_id in self.jobs or len(self.jobs) == 1000:\n            raise Refused(\"Dup"},
			change{"coordinator.go", "	if c.shutdown || c.closing {\n", "	if c.shutdown || c.closing || c.jobs.inflight == 1000 {\n"}},
		{"job/since", "a job enters its state again when it is polled",
			change{"coordinator.py", "        if following:\n            self._set_state(job, following)\n", "        self._set_state(job, following or state)\n"},
			change{"session.go", "if to := rule.leadsTo(state); to != state {", "if to := rule.leadsTo(state); true {"}},
		{"session/retired-again", "an id that ends again keeps its place",
			change{"coordinator.py", "        self.ended_workers.move_to_end(worker_id)\n", ""},
			change{"retired.go", "ok { // seldom: only RetireWorker names an id again\n", "ok {\n		return\n"}},
		{"session/retired-memory", "more ended workers are remembered",
			change{"coordinator.py", "REMEMBERED = 1024", "REMEMBERED = 2048"},
			change{"retired.go", "const retiredMost = 1024", "const retiredMost = 2048"}},
		{"session/ids-with-nul", "an id ends at NUL",
			change{"coordinator.py", sameWorker, "        if self.worker is not None and sender.split(\"\\0\")[0] == self.worker.split(\"\\0\")[0]:\n            if seq_no"},
			change{"session.go", sameGo, `strings.Split(worker, "\x00")[0] == strings.Split(c.worker, "\x00")[0] {`}},
		{"session/long-ids", "of an ended id only the beginning is remembered",
			change{"coordinator.py", "if sender in self.ended_workers:", "if sender[:64] in [ended[:64] for ended in self.ended_workers]:"},
			change{"retired.go", "return retiredKey{workerID[:most], len(workerID), chain(0, workerID)}", "return retiredKey{beginning: workerID[:most]}"}},
		{"session/empty-id", "the empty id is none",
			change{"coordinator.py", "        if self.worker is not None:\n            self._remember", "        if self.worker:\n            self._remember"},
			change{"session.go", "		c.retired.add(c.worker)\n", "		if c.worker != \"\" {\n			c.retired.add(c.worker)\n		}\n"}},
		{"session/newcomer-failed", "the jobs before a newcomer that fails have its cause",
			change{"coordinator.py", `        self._admit(sender, e["seq_no"]`, `        if op["type"] == "BootstrapFailed" and self.worker is not None:
            self._end_session("BootstrapFailed")
        self._admit(sender, e["seq_no"]`},
			change{"session.go", "c.endSession(CauseReplaced)", "c.endSession(map[bool]EndCause{true: CauseBootstrapFailed, false: CauseReplaced}[op == OpBootstrapFailed])"}},
		{"session/retire-nobody", "to retire a worker while none is active is to lose it",
			change{"coordinator.py", "        if worker_id == self.worker:\n", "        if self.worker is None or worker_id == self.worker:\n"},
			change{"coordinator.go", "case c.session != nil && workerID == c.worker:", "case c.session == nil || workerID == c.worker:"}},
		{"session/retire-nobody", "the empty id is the active worker if there is none",
			change{"coordinator.py", "        if worker_id == self.worker:\n", "        if worker_id == (self.worker or \"\"):\n"},
			change{"coordinator.go", "case c.session != nil && workerID == c.worker:", "case workerID == c.worker:"}},
		{"session/lost-expected", "without a session a lost worker leaves the outbox and the shutdown",
			change{"coordinator.py", "            self.clocks.pop(\"Bootstrap\", None)\n        self._end_session", "            self.clocks.pop(\"Bootstrap\", None)\n            return\n        self._end_session"},
			change{"coordinator.go", "		c.clocks.boot.running = false\n", "		c.clocks.boot.running = false\n		return\n"}},
		{"session/closed-region", "regions are opened when the session ends",
			change{"coordinator.py", "        self.outbox.clear()\n        if self.worker", "        self.outbox.clear()\n        self.closed_regions.clear()\n        if self.worker"},
			change{"coordinator.go", "ok && r.closed {", "ok && r.closed && !r.session.ended() {"}},
		{"numbers/diagnostic", "a diagnostic does not count",
			change{"coordinator.py", `        self.last_seen = e["seq_no"]
`, `        if op["type"] != "Diagnostic":
            self.last_seen = e["seq_no"]
`},
			change{"session.go", "	c.lastSeen = env.SeqNo\n", "	if t != OpDiagnostic {\n		c.lastSeen = env.SeqNo\n	}\n"}},
		{"numbers/not-compared", "message ids must rise",
			change{"coordinator.py", `self._admit(sender, e["seq_no"],`, `self._admit(sender, min(e["seq_no"], e["message_id"]),`},
			change{"session.go", "c.admit(*env.WorkerID, env.SeqNo, t)", "c.admit(*env.WorkerID, min(env.SeqNo, env.MessageID), t)"}},
		{"numbers/not-compared", "decision numbers must rise",
			change{"coordinator.py", `self._admit(sender, e["seq_no"],`, `self._admit(sender, min(e["seq_no"], e["decision_seq"]),`},
			change{"session.go", "c.admit(*env.WorkerID, env.SeqNo, t)", "c.admit(*env.WorkerID, min(env.SeqNo, env.DecisionSeq), t)"}},
		{"shutdown/answers", "an answer must fit its job during a shutdown",
			change{"coordinator.py", "        if not self.shutdown_requested:  # which freezes the handshakes\n            self._step(job, rule)\n", "        self._step(job, rule)\n        if not self.shutdown_requested:\n"},
			change{"session.go", "	if err != nil || c.shutdown {\n", "	if r := &hostRules[rule]; err == nil && !r.accepts(j.now()) {\n		return r.refuse(jobID, j.now())\n	}\n	if err != nil || c.shutdown {\n"}},
		{"shutdown/when-idle-nobody", "shut down when idle waits for a worker",
			change{"coordinator.py", "if self.closing is not None and self.inflight == 0:", "if self.closing is not None and self.inflight == 0 and self.worker is not None:"},
			change{"coordinator.go", "if c.closing && c.jobs.inflight == 0 {", "if c.closing && c.jobs.inflight == 0 && c.session != nil {"}},
		{"shutdown/announced-while-closing", "a repeated announcement undoes a shutdown when idle",
			change{"coordinator.py", "                self.ready = True\n", "                self.ready, self.closing = True, None\n"},
			change{"session.go", "		c.ready = true\n", "		c.ready, c.closing = true, false\n"}},
		{"limits/poll-refused", "whatever comes answers a poll",
			change{"coordinator.py", `        self._admit(sender, e["seq_no"]`, `        self.clocks.pop("PollStatus", None)
        self._admit(sender, e["seq_no"]`},
			change{"session.go", "	if err := c.admit(", "	c.clocks.poll.running = false\n	if err := c.admit("}},
		{"limits/ties", "of requests due in one turn the lowest job is first",
			change{"coordinator.py", "key=lambda d: d[:2]", "key=lambda d: (d[0], d[3] or 0)"},
			change{"limits.go", "cmp.Compare(r.seqNo, other.seqNo)", "cmp.Compare(r.JobID, other.JobID)"}},
		{"limits/ties", "a bootstrap is last of what is due in one turn",
			change{"coordinator.py", "(self.turn, 0, None)", "(self.turn, U64, None)"},
			change{"limits.go", "k.since, due}, k.seqNo}, true", "k.since, due}, k.seqNo - 1}, true"}},
		{"limits/unsigned", "deadlines wrap",
			change{"coordinator.py", "min(since + self.limits[limit], U64)", "since + self.limits[limit] & U64"},
			change{"limits.go", "	if due < k.since {\n", "	if due < 0 {\n"}},
		{"limits/unsigned", "deadlines are signed",
			change{"coordinator.py", "key=lambda d: d[:2]", "key=lambda d: (d[0] - (d[0] >> 63 << 64), d[1])"},
			change{"limits.go", "cmp.Compare(r.Deadline, other.Deadline)", "cmp.Compare(int64(r.Deadline), int64(other.Deadline))"}},
		{"limits/announced-again", "a repeated announcement is the one expected",
			change{"coordinator.py", "                self.ready = True\n", "                self.ready = True\n                self.clocks.pop(\"Bootstrap\", None)\n"},
			change{"session.go", "		c.ready = true\n", "		c.ready, c.clocks.boot.running = true, false\n"}},
		{"limits/shutdown-expected", "a request for shutdown stops the Boot clock",
			change{"coordinator.py", "        self.clocks.pop(\"PollStatus\", None)\n        self.outbox", "        self.clocks.clear()\n        self.outbox"},
			change{"limits.go", "shutdownRequested() { c.poll.running = false }", "shutdownRequested() { c.poll.running, c.boot.running = false, false }"}},
		{"limits/shutdown-expected", "a bootstrap stops the clock of the shutdown",
			change{"coordinator.py", "        self.worker = sender\n        self.clocks.pop(\"Bootstrap\", None)\n", "        self.worker = sender\n        self.clocks.clear()\n"},
			change{"session.go", "	c.clocks.boot.running = false\n", "	c.clocks.boot.running, c.clocks.shutdown.running = false, false\n"}},
		{"shutdown/while-closing", "shut down when idle checks nothing while jobs are in flight",
			change{"coordinator.py", "        self._check_request(reason)\n        if self.closing", "        if self.closing"},
			change{"coordinator.go", "	if err := c.checkRequest(reason); err != nil {\n		return err\n	}\n	if c.closing {", "	if c.closing {"}},
		{"limits/taken-late", "the clock of a request that has been answered starts",
			change{"coordinator.py", `elif request in PHASES and job["state"] == PHASES[request][0]:`, "elif request in PHASES:"},
			change{"limits.go", "if h.request == op && h.phase == j.now() && c.limits.of(op) != 0 {", "if h.request == op && c.limits.of(op) != 0 {"}},
		{"limits/poll-ended", "a poll of a job that has ended is waited for",
			change{"coordinator.py", `if job["state"] not in ENDED:  # otherwise`, "if True:  # otherwise"},
			change{"limits.go", "if !c.poll.running && !j.now().Terminal() {", "if !c.poll.running {"}},
	})
}
