package peers

import (
	"testing"

	"github.com/workerchannel/workerchannel/examples/internal/conform"
)

func TestMistakesInPythonWorkerAreFound(t *testing.T) {
	testMistakes(t, "python", conform.WorkerHalf, append(pythonReading(conform.WorkerHalf), []mistake{
		{"wire/announce", "digest without the worker id", "envelope.py", `(e["worker_id"] or "").encode()`, `b""`},
		{"wire/announce", "digest of the envelope", "envelope.py", `for b in write_op(e["op"]).encode():`, `for b in write({**e, "replay_hash": 0}):`},
		{"wire/announce", "digest with one rotation", "envelope.py", `(rotl(h, 7) ^ b)`, `(rotl(h, 5) ^ b)`},
		{"wire/announce", "numbers from 0", "worker.py", "        self.sent += 1\n        n = self.sent\n", "        n = self.sent\n        self.sent += 1\n"},
		{"wire/announce", "spaces after separators", "envelope.py", `separators=(",", ":")`, `separators=(", ", ": ")`},
		{"wire/numbers", "every message has the first number", "worker.py", "        self.sent += 1\n", "        self.sent = 1\n"},
		{"wire/operations", "an absent detail is left out", "envelope.py", `for name in (tag, *shapes[value[tag]])}`, `for name in (tag, *shapes[value[tag]]) if value[name] is not None}`},
		{"wire/operations", "a payload is a string of hex", "envelope.py", "default=list)", "default=bytes.hex)"},
		{"wire/operations", "members in alphabetical order", "envelope.py", `separators=(",", ":"), default`, `separators=(",", ":"), sort_keys=True, default`},
		{"wire/escapes", "everything beyond ASCII is escaped", "envelope.py", "ensure_ascii=False", "ensure_ascii=True"},
		{"wire/escapes", "slashes are escaped", "envelope.py", `default=list)  #`, `default=list).replace("/", "\\/")  #`},
		{"wire/escapes", "DEL is escaped", "envelope.py", `default=list)  #`, `default=list).replace("\x7f", "\\u007f")  #`},
		{"wire/empty", "an empty worker id is absent", "envelope.py", `if members["worker_id"] is None:  # absent`, `if not members["worker_id"]:  # absent`},
		{"wire/empty-optional", "an empty detail is null", "worker.py", `        check_strings(detail)
`, `        check_strings(detail)
        detail = detail or None
`},
		{"wire/cannot-be-sent!", "surrogates are sent", "envelope.py", `if isinstance(value, str) and has_surrogate(value):
            raise`, `if False:
            raise`},
		{"payload/largest", "a payload of any size is sent", "worker.py", "if size > MAX_PAYLOAD:", "if False:"},
		{"job/id-again", "a job spawned again starts again", "worker.py", "if job_id in self.jobs:\n                    raise", "if False:\n                    raise"},
		{"job/ended", "an ended job is not forgotten", "worker.py", "        del self.jobs[job_id]\n\n    def acknowledge", "\n    def acknowledge"},
		{"job/start-twice", "a running job is started", "worker.py", `"start": (["Queued"],`, `"start": (["Queued", "Running"],`},
		{"job/complete-queued", "a queued job cannot complete", "worker.py", `if state not in ("Queued", "Running", "CancelRequested"):`, `if state not in ("Running", "CancelRequested"):`},
		{"poll/others", "a draining job is reported", "worker.py", `if self.phase == "ready" and self.state(job_id) in ("Queued", "Running"):`, `if self.phase == "ready" and self.state(job_id):`},
		{"poll/others", "an ended job is reported", "worker.py", "        del self.jobs[job_id]\n\n    def acknowledge", "\n    def acknowledge"},
		{"poll/queued-running", "a poll of a queued job is not answered", "worker.py", `self.state(job_id) in ("Queued", "Running"):`, `self.state(job_id) == "Running":`},
		{"session/announce", "a poll is answered before the announcement", "worker.py", `if self.phase == "ready" and self.state`, `if self.state`},
		{"cancel/no-outcome", "a job completes after its cancel was acknowledged", "worker.py", `if state not in ("Queued", "Running", "CancelRequested"):`, `if state not in ("Queued", "Running", "CancelRequested", "Acknowledged"):`},
		{"cancel/answer-once", "a cancel is acknowledged twice", "worker.py", `"acknowledge_cancel": (["CancelRequested"],`, `"acknowledge_cancel": (["CancelRequested", "Acknowledged"],`},
		{"cancel/answer-unasked", "a job is drained without being asked", "worker.py", `"complete_drain": (["Draining"],`, `"complete_drain": (["Draining", "Acknowledged"],`},
		{"cancel/request-out-of-order", "a drain is taken before the acknowledgement", "worker.py", `"drain": (["Acknowledged"],`, `"drain": (["Acknowledged", "CancelRequested"],`},
		{"cancel/crossed", "a cancel of an ended job is an error", "worker.py", "if job_id in self.jobs:  # otherwise", "if True:  # otherwise"},
		{"cancel/ended-first", "an outcome does not overtake a cancel", "worker.py", `if state not in ("Queued", "Running", "CancelRequested"):`, `if state not in ("Queued", "Running"):`},
		{"shutdown/no-drain", "a drain is waited for during shutdown", "worker.py", "                for job_id in list(self.jobs):\n                    self._forget_if_answered(job_id)\n", ""},
		{"shutdown/last-word", "an answer during shutdown is not the last", "worker.py", "elif self.shutdown_requested:", "elif False:"},
		{"session/closed", "a closed worker goes on", "worker.py", `        self.phase = "closed"
        self._send(last)`, `        self._send(last)`},
		{"session/fail", "fail is refused before the announcement", "worker.py", `        check_strings(self.id, reason)
`, `        check_strings(self.id, reason)
        self._need_ready()
`},
		{"numbers/gaps", "a gap in the numbers is an error", "worker.py", `if e["seq_no"] <= self.last_seen:`, `if e["seq_no"] != self.last_seen + 1:`},
		{"numbers/stale", "the same number is taken again", "worker.py", `if e["seq_no"] <= self.last_seen:`, `if e["seq_no"] < self.last_seen:`},
		{"numbers/refused-job", "a message that does not fit its job does not count", "worker.py", "                if job_id in self.jobs:\n                    raise", "                if job_id in self.jobs:\n                    self.last_seen -= 1\n                    raise"},
		{"numbers/own-refused", "a refused call uses a number", "worker.py", `            raise Refused("UnknownJobID", job_id=job_id)`, `            self.sent += 1
            raise Refused("UnknownJobID", job_id=job_id)`},
		{"session/direction", "a worker obeys a worker", "worker.py", `if op["type"] not in FROM_COORDINATOR:`, `if False:`},
		{"session/capacity", "the capacity has a category of its own", "worker.py", `CAPACITY = "workerchannel.capacity"`, `CAPACITY = "capacity"`},
		{"session/turn", "the turn is the one of sending", "worker.py", `return write(seal(self.outbox.popleft()))`, `return write(seal({**self.outbox.popleft(), "issued_at_turn": self.turn}))`},
	}...))
}

// pythonReading are mistakes of the reader, which both halves share.
func pythonReading(half string) []mistake {
	integers := mistake{"wire/integers", "integers are doubles", "envelope.py", "return int(text) if text", "return int(float(text)) if text"}
	if half == conform.CoordinatorHalf {
		integers.check = "wire/read"
	}
	return []mistake{
		integers,
		{"digest/damaged", "the digest is not checked", "envelope.py", `if e["replay_hash"] != expected:`, `if False:`},
		{"validate/order", "the version is not checked", "envelope.py", `if e["version"] != 1:`, `if False:`},
		{"validate/order", "the identity is not checked", "envelope.py", `elif op.get("worker_id", worker) != worker:`, `elif False:`},
		{"reading/white-space", "only spaces are white space", "envelope.py", `value = parse(data.decode())`, `value = parse("\t" in data.decode() and "x" or data.decode())`},
		{"reading/other-version", "another version is malformed", "envelope.py", `if refused.kind == "Malformed" and`, `if refused.kind == "malformed" and`},
		{"reading/unknown-members", "an unknown member is refused", "envelope.py", `            found[name] = member
`, `            found[name] = member
        else:
            malformed("unknown member")
`},
		{"reading/unknown-numbers!", "a number beyond every range is refused", "envelope.py", "parse_float=Number", "parse_float=lambda text: int(float(text))"},
		{"reading/unknown-names", "names are compared without case", "envelope.py", `for name, member in value if isinstance(value, Object) else malformed("expected an object"):`, `for name, member in [(n.lower(), m) for n, m in value] if isinstance(value, Object) else malformed("expected an object"):`},
		{"reading/escapes", "an escaped slash is an error", "envelope.py", `value = parse(data.decode())`, `value = parse("x" if b"\\/" in data else data.decode())`},
		{"reading/around", "a byte-order mark is skipped", "envelope.py", `data.decode()`, `data.decode("utf-8-sig")`},
		{"reading/around", "what follows the object is ignored", "envelope.py", "parse_constant=no_constant).decode", "parse_constant=no_constant).raw_decode"},
		{"reading/utf8", "ill-formed UTF-8 is replaced", "envelope.py", `data.decode()`, `data.decode(errors="replace")`},
		{"reading/surrogates!", "unpaired surrogates are taken", "envelope.py", `            if has_surrogate(value):
                malformed`, `            if False:
                malformed`},
		{"reading/controls", "raw control characters are taken", "envelope.py", "parse_constant=no_constant)", "parse_constant=no_constant, strict=False)"},
		{"reading/ignored-values", "NaN is taken", "envelope.py", ", parse_constant=no_constant", ""},
		{"reading/duplicates", "a member may occur twice", "envelope.py", `            if name in found:
                malformed`, `            if False:
                malformed`},
		{"reading/number-form", "1.0 is 1", "envelope.py", "parse_float=Number", "parse_float=lambda text: int(float(text)) if float(text) < 9e99 else Number(text)"},
		{"reading/number-form", "-0 is 0", "envelope.py", `if text[0] != "-" and len`, `if len`},
		{"reading/number-range", "integers have any size", "envelope.py", "if type(value) is not int or value > limit:", "if type(value) is not int:"},
		{"reading/number-kind", "true is 1", "envelope.py", "if type(value) is not int or value > limit:", "if not isinstance(value, int) or value > limit:"},
		{"reading/string-kind", "null is an empty string", "envelope.py", `def read_string(value):
`, `def read_string(value):
    value = "" if value is None else value
`},
		{"reading/payload!", "an element may be 256", "envelope.py", "type(b) is int and b < 256 for b in value", "type(b) is int for b in value"},
		{"reading/payload-limit", "a payload may have any size", "envelope.py", "if len(value) > MAX_PAYLOAD:", "if False:"},
		{"reading/depth-refused", "nesting is bounded by the stack only", "envelope.py", "if depth > MAX_DEPTH:", "if False:"},
		{"reading/depth", "the envelope is not the first level", "envelope.py", "rest = [(value, 1)]", "rest = [(value, 2)]"},
		{"reading/missing", "a missing member has a default", "envelope.py", `malformed(f"the member {name} is missing")`, `found[name] = {"u64": 0, "u32": 1, "string": ""}.get(kind)`},
		{"reading/names", "an unknown type is compared without case", "envelope.py", `names = [member for name, member in value if name == tag]`, `names = [{n.lower(): n for n in shapes}.get(str(member).lower(), member) for name, member in value if name == tag]`},
	}
}

func TestMistakesInPythonCoordinatorAreFound(t *testing.T) {
	testMistakes(t, "python", conform.CoordinatorHalf, append(pythonReading(conform.CoordinatorHalf), []mistake{
		{"wire/first", "null for an absent worker id", "envelope.py", `if members["worker_id"] is None:  # absent`, `if False:  # absent`},
		{"wire/first", "numbers from 0", "coordinator.py", "        self.sent += 1\n        self.outbox.append", "        self.outbox.append"},
		{"wire/escapes", "everything beyond ASCII is escaped", "envelope.py", "ensure_ascii=False", "ensure_ascii=True"},
		{"reading/optional", "an absent detail is an error", "envelope.py", `and kind != "optional":`, `and (kind != "optional" or name == "detail"):`},
		{"numbers/replaced", "the numbers begin again with a new worker", "coordinator.py", "        self.worker = sender\n        self.clocks", "        self.worker = sender\n        self.sent = 0\n        self.clocks"},
		{"numbers/gaps", "a gap in the numbers is an error", "coordinator.py", "if seq_no <= self.last_seen:", "if seq_no != self.last_seen + 1:"},
		{"numbers/gaps", "the first number must be 1", "coordinator.py", "if seq_no == 0:", "if seq_no != 1:"},
		{"numbers/stale", "the same number is taken again", "coordinator.py", "if seq_no <= self.last_seen:", "if seq_no < self.last_seen:"},
		{"numbers/zero", "a bootstrap with number 0 is taken", "coordinator.py", "if seq_no == 0:", "if False:"},
		{"numbers/echo", "an echo moves the high-water mark", "coordinator.py", `        if op["type"] not in FROM_WORKER:
`, `        if op["type"] not in FROM_WORKER:
            self.last_seen = e["seq_no"]
`},
		{"numbers/refused-job", "a message that does not fit its job does not count", "coordinator.py", `            raise Refused("UnknownJobID", job_id=job_id)`, `            self.last_seen -= 1
            raise Refused("UnknownJobID", job_id=job_id)`},
		{"session/replaced", "a new worker's numbers must exceed the old one's", "coordinator.py", "if seq_no == 0:", "if seq_no <= self.last_seen:"},
		{"session/replaced", "jobs survive their worker", "coordinator.py", `            self._end_session("Replaced")`, `            self._remember(self.worker)`},
		{"session/bootstrap", "a repeated announcement begins a session again", "coordinator.py", `                self.ready = True
`, `                if self.ready:
                    self._end_session("Replaced")
                    self.worker = sender
                self.ready = True
`},
		{"session/late-bootstrap", "ended workers are forgotten", "coordinator.py", "if sender in self.ended_workers:", "if False:"},
		{"session/retired-memory", "only a few ended workers are remembered", "coordinator.py", "REMEMBERED = 1024", "REMEMBERED = 100"},
		{"session/foreign", "a message of any worker is taken", "coordinator.py", "if not bootstrap:", "if False:"},
		{"session/foreign", "numbers are checked before the session", "coordinator.py", `        if sender == self.worker:
            if seq_no`, `        if seq_no <= self.last_seen and not bootstrap:
            raise Refused("InboundSequenceNotFresh")
        if sender == self.worker:
            if seq_no`},
		{"session/failed", "BootstrapFailed is not an error", "coordinator.py", `                raise Refused("BootstrapFailed", worker_id=sender, reason=op["reason"])
`, ""},
		{"session/shutdown-completed", "an unasked ShutdownCompleted is ignored", "coordinator.py", `                self._end_session("Shutdown")`, `                if self.shutdown_requested:
                    self._end_session("Shutdown")`},
		{"session/lost", "a lost worker may speak again", "coordinator.py", "        self.worker = None\n        self.ready =", "        self.ready ="},
		{"session/outbox", "messages to a lost worker go to its successor", "coordinator.py", `        self.outbox.clear()
        if self.worker`, `        if self.worker`},
		{"job/id-again", "the id of an ended job is taken", "coordinator.py", "        if job_id in self.jobs:\n            raise Refused(\"Dup", "        if job_id in self.jobs and self.jobs[job_id][\"state\"] not in ENDED:\n            raise Refused(\"Dup"},
		{"job/spawn-refused", "spawn looks at the payload first", "coordinator.py", `        if not self.ready:
            raise Refused("WorkerNotReady")
        if self.shutdown_requested or`, `        if len(payload) > MAX_PAYLOAD:
            raise Refused("PayloadTooLarge")
        if not self.ready:
            raise Refused("WorkerNotReady")
        if self.shutdown_requested or`},
		{"job/snapshots", "a running job becomes queued again", "coordinator.py", `"snapshot Queued": (["Queued"],`, `"snapshot Queued": (["Queued", "Running"],`},
		{"job/snapshot-states", "the job is looked for before the state", "coordinator.py", `                state = op["state"]
`, `                self._find(job_id)
                state = op["state"]
`},
		{"poll/states", "a draining job is polled", "coordinator.py", `"poll": (["Queued", "Running"],`, `"poll": (["Queued", "Running", "CancelRequested", "Draining"],`},
		{"cancel/snapshot-crossed", "a snapshot that crosses a cancel is an error", "coordinator.py", `"Running", ["Running", "CancelRequested"],`, `"Running", ["Running"],`},
		{"cancel/completion-crossed", "a completion that crosses a cancel is an error", "coordinator.py", `"completed": (["Queued", "Running", "CancelRequested"],`, `"completed": (["Queued", "Running"],`},
		{"cancel/no-outcome", "a completion after the acknowledgement counts", "coordinator.py", `"completed": (["Queued", "Running", "CancelRequested"],`, `"completed": (["Queued", "Running", "CancelRequested", "Draining"],`},
		{"cancel/answer-unasked", "FinalizeCompleted skips the handshake", "coordinator.py", `"finalized": (["Finalizing"],`, `"finalized": (["Finalizing", "CancelRequested", "Draining"],`},
		{"cancel/handshake", "finalize follows without drain", "coordinator.py", `self._proceed(job_id, "acknowledged", "DrainJob")`, `self._proceed(job_id, "acknowledged", "FinalizeJob")`},
		{"shutdown/frozen", "the handshake goes on during shutdown", "coordinator.py", "if not self.shutdown_requested:  # which freezes the handshakes\n            self._step", "if True:\n            self._step"},
		{"shutdown/announced-again", "an announcement undoes a shutdown", "coordinator.py", "                self.ready = True\n", "                self.ready, self.shutdown_requested = True, False\n"},
		{"shutdown/outbox", "messages follow before a shutdown", "coordinator.py", `        self.outbox.clear()
        self._send`, `        self._send`},
		{"shutdown/requested", "completions are refused during shutdown", "coordinator.py", `                self._end_job(job_id, "completed", "Outcome", op["outcome"])`, `                if self.shutdown_requested:
                    raise Refused("ShutdownInProgress")
                self._end_job(job_id, "completed", "Outcome", op["outcome"])`},
		{"shutdown/when-idle", "a cancelled job is not waited for", "coordinator.py", `        job["outcome"] = outcome or`, `        if cause == "Cancelled":
            return
        job["outcome"] = outcome or`},
		{"region/cancel", "a region is cancelled in the order of spawning", "coordinator.py", "for i in sorted(self.jobs) if self.jobs[i][\"region_id\"]", "for i in self.jobs if self.jobs[i][\"region_id\"]"},
		{"region/close", "a closed region stays closed", "coordinator.py", "self.closed_regions.discard", "self.closed_regions.add"},
		{"limits/taken", "a clock starts with the call", "coordinator.py", `        self._send({"type": "CancelJob", "job_id": job["job_id"], "reason": reason}, job)`, `        self._send({"type": "CancelJob", "job_id": job["job_id"], "reason": reason}, job)
        job["taken"] = self.turn`},
		{"limits/poll", "only a snapshot answers a poll", "coordinator.py", `        self.clocks.pop("PollStatus", None)  # every`, `        op["type"] == "StatusSnapshot" and self.clocks.pop("PollStatus", None)  # every`},
	}...))
}
