"""The coordinator's half of the protocol (PROTOCOL.md, section 7).

A refused call or message raises Refused, changes nothing and sends nothing. What is to be sent is taken with
drain_outbox.
"""

from collections import OrderedDict, deque

from envelope import FROM_WORKER, MAX_PAYLOAD, U64, Refused, check_strings, decode, seal, write

ENDED = ("Completed", "Failed")
REMEMBERED = 1024  # ids of ended workers

# What may happen to a job, as the table of section 7: the states in which it may, the state that follows (None: the
# same), the states in which it is ignored, the error in every other state, and the state that InvalidTransition names.
RULES = {
    "cancel": (["Queued", "Running"], "CancelRequested", [], "InvalidTransition", "CancelRequested"),
    "poll": (["Queued", "Running"], None, [], "JobNotPollable", None),
    "snapshot Queued": (["Queued"], None, ["CancelRequested"], "InvalidTransition", "Queued"),
    "snapshot Running": (["Queued"], "Running", ["Running", "CancelRequested"], "InvalidTransition", "Running"),
    "completed": (["Queued", "Running", "CancelRequested"], "Completed", [], "UnexpectedCompletionPhase", None),
    "acknowledged": (["CancelRequested"], "Draining", [], "InvalidTransition", "Draining"),
    "drained": (["Draining"], "Finalizing", [], "InvalidTransition", "Finalizing"),
    "finalized": (["Finalizing"], "Completed", [], "InvalidTransition", "Completed"),
}
# The requests of the cancel handshake: the state in which a job waits for the answer, and the limit.
PHASES = {"CancelJob": ("CancelRequested", "cancel"), "DrainJob": ("Draining", "drain"), "FinalizeJob": ("Finalizing", "finalize")}


class Coordinator:
    def __init__(self, seed, limits=None, first_decision_seq=1):
        self.seed = seed
        self.limits = {"boot": 0, "cancel": 0, "drain": 0, "finalize": 0, "poll": 0, "shutdown": 0, **(limits or {})}
        self.turn = 0
        self.sent = 0
        self.decision_seq = first_decision_seq
        self.outbox = deque()  # of (envelope without digest, job or None)
        self.jobs = {}  # from job id to a dict, see spawn_job
        self.closed_regions = set()
        self.worker = None  # the active one
        self.ready = False
        self.last_seen = 0
        self.shutdown_requested = False
        self.closing = None  # the reason, while jobs are waited for
        self.ended_workers = OrderedDict()
        self.clocks = {}  # Bootstrap, PollStatus, ShutdownWorker: (turn, number, job id)

    # --- Calls of the host ---

    def spawn_job(self, job_id, region_id, task_id, obligation_id, payload):
        if not self.ready:
            raise Refused("WorkerNotReady")
        if self.shutdown_requested or self.closing is not None:
            raise Refused("ShutdownInProgress")
        if region_id in self.closed_regions:
            raise Refused("RegionClosed", region_id=region_id)
        if len(payload) > MAX_PAYLOAD:
            raise Refused("PayloadTooLarge", size=len(payload), max=MAX_PAYLOAD)
        if job_id in self.jobs:
            raise Refused("DuplicateJobID", job_id=job_id)
        job = {
            "job_id": job_id, "region_id": region_id, "task_id": task_id, "obligation_id": obligation_id,
            "state": "Queued", "since": self.turn, "last_seq_no": 0, "outcome": None, "cause": None,
            "reason": None, "taken": None,  # of its cancel; the turn in which its request was taken, if that has a limit
        }
        self.jobs[job_id] = job
        self._send({
            "type": "SpawnJob", "job_id": job_id, "region_id": region_id, "task_id": task_id,
            "obligation_id": obligation_id, "payload": payload,
        }, job)

    def cancel_job(self, job_id, reason):
        self._check_request(reason)
        self._cancel(self._find(job_id), reason)

    def cancel_region(self, region_id, reason):
        """Cancels the queued and running jobs of a region and returns how many these were."""
        self._check_request(reason)
        jobs = [self.jobs[i] for i in sorted(self.jobs) if self.jobs[i]["region_id"] == region_id]
        if not jobs:
            raise Refused("UnknownRegionID", region_id=region_id)
        jobs = [job for job in jobs if job["state"] in ("Queued", "Running")]
        for job in jobs:
            self._cancel(job, reason)
        return len(jobs)

    def close_region(self, region_id, reason):
        cancelled = self.cancel_region(region_id, reason)
        self.closed_regions.add(region_id)
        return cancelled

    def poll_status(self, job_id):
        if self.shutdown_requested:
            raise Refused("ShutdownInProgress")
        job = self._find(job_id)
        self._step(job, "poll")
        self._send({"type": "PollStatus", "job_id": job_id}, job)

    def request_shutdown(self, reason):
        self._check_request(reason)
        self.shutdown_requested = True
        self.closing = None
        self.clocks.pop("PollStatus", None)
        self.outbox.clear()
        self._send({"type": "ShutdownWorker", "reason": reason}, None)

    def shutdown_when_idle(self, reason):
        self._check_request(reason)
        if self.closing is not None:
            raise Refused("ShutdownInProgress")
        self.closing = reason
        self._shutdown_if_idle()

    def expect_worker(self):
        self.clocks["Bootstrap"] = (self.turn, 0, None)

    def worker_lost(self):
        if self.worker is None:
            self.clocks.pop("Bootstrap", None)
        self._end_session("WorkerLost")

    def retire_worker(self, worker_id):
        if worker_id == self.worker:
            self._end_session("WorkerLost")
        else:
            self._remember(worker_id)

    def remove_job(self, job_id):
        """Forgets an ended job and returns its last state."""
        job = self._find(job_id)
        if job["state"] not in ENDED:
            raise Refused("JobNotTerminal", job_id=job_id, state=job["state"])
        self._forget(job)
        return job["state"]

    def reap(self):
        """Forgets all ended jobs and returns them by ascending id."""
        ended = [self.jobs[i] for i in sorted(self.jobs) if self.jobs[i]["state"] in ENDED]
        for job in ended:
            self._forget(job)
        return ended

    def advance_turn(self):
        self.turn += 1

    def drain_outbox(self):
        """Takes the oldest message to be sent, as bytes; None if there is none. The clock of a request starts now."""
        if not self.outbox:
            return None
        envelope, job = self.outbox.popleft()
        self._start_clock(envelope, job)
        return write(seal(envelope))

    # --- Messages of the worker ---

    def receive(self, data):
        """Handles a message and returns its operation."""
        e = decode(data)
        op, sender = e["op"], e["worker_id"]
        if op["type"] not in FROM_WORKER:
            raise Refused("UnexpectedDirection", op=op["type"])
        self._admit(sender, e["seq_no"], op["type"].startswith("Bootstrap"))
        self.last_seen = e["seq_no"]
        self.clocks.pop("PollStatus", None)  # every poll so far is answered
        job_id = op.get("job_id")
        match op["type"]:
            case "BootstrapReady":
                self.ready = True
            case "BootstrapFailed":
                self._end_session("BootstrapFailed")
                raise Refused("BootstrapFailed", worker_id=sender, reason=op["reason"])
            case "StatusSnapshot":
                state = op["state"]
                if state in ENDED:
                    raise Refused("TerminalStatusSnapshot", job_id=job_id, state=state)
                if state not in ("Queued", "Running"):
                    raise Refused("InvalidStatusSnapshotState", job_id=job_id, state=state)
                self._step(self._find(job_id), "snapshot " + state)
            case "JobCompleted":
                self._end_job(job_id, "completed", "Outcome", op["outcome"])
            case "CancelAcknowledged":
                self._proceed(job_id, "acknowledged", "DrainJob")
            case "DrainCompleted":
                self._proceed(job_id, "drained", "FinalizeJob")
            case "FinalizeCompleted":
                self._end_job(job_id, "finalized", "Cancelled", None)
            case "ShutdownCompleted":
                self._end_session("Shutdown")
        return op

    def _admit(self, sender, seq_no, bootstrap):
        """Step 3 of section 7, "Inbound"."""
        if sender == self.worker:
            if seq_no <= self.last_seen:
                raise Refused("InboundSequenceNotFresh", last_seen=self.last_seen, actual=seq_no)
            return
        if not bootstrap:
            raise Refused("WorkerSessionMismatch", expected=self.worker, actual=sender)
        if sender in self.ended_workers:
            raise Refused("RetiredWorker", worker_id=sender)
        if seq_no == 0:
            raise Refused("InboundSequenceNotFresh", last_seen=0, actual=0)
        if self.worker is not None:
            self._end_session("Replaced")
        self.worker = sender
        self.clocks.pop("Bootstrap", None)

    # --- To look ---

    @property
    def inflight(self):
        return sum(job["state"] not in ENDED for job in self.jobs.values())

    def regions(self):
        """Returns the regions by ascending id."""
        table = {}
        for job in self.jobs.values():
            region_id = job["region_id"]
            region = table.setdefault(region_id, {
                "region_id": region_id, "tracked": 0, "inflight": 0, "closed": region_id in self.closed_regions,
            })
            region["tracked"] += 1
            region["inflight"] += job["state"] not in ENDED
        return [table[i] for i in sorted(table)]

    def next_due(self):
        """Returns the request that is due first as (turn, number, request, job id, since); None if there is none."""
        due = []

        def consider(request, limit, since, number, job_id):
            if self.limits[limit]:
                due.append((min(since + self.limits[limit], U64), number, request, job_id, since))

        for request, limit in (("Bootstrap", "boot"), ("PollStatus", "poll"), ("ShutdownWorker", "shutdown")):
            if request in self.clocks:
                consider(request, limit, *self.clocks[request])
        if not self.shutdown_requested:  # which freezes the handshakes
            for job in self.jobs.values():
                for request, (state, limit) in PHASES.items():
                    if job["state"] == state and job["taken"] is not None:
                        consider(request, limit, job["taken"], job["last_seq_no"], job["job_id"])
        return min(due, key=lambda d: d[:2], default=None)

    def next_deadline(self):
        """Returns the turn in which the first request is due; None if there is none."""
        due = self.next_due()
        return due and due[0]

    def overdue(self):
        """Returns (request, job id or None, since) of the request that is due first, if it is overdue."""
        due = self.next_due()
        return due[2:] if due and due[0] <= self.turn else None

    # --- Within ---

    def _check_request(self, reason):
        check_strings(reason)
        if self.shutdown_requested:
            raise Refused("ShutdownInProgress")

    def _find(self, job_id):
        if job_id not in self.jobs:
            raise Refused("UnknownJobID", job_id=job_id)
        return self.jobs[job_id]

    def _step(self, job, rule):
        states, following, ignored, error, toward = RULES[rule]
        state = job["state"]
        if state in ignored:
            return
        if state not in states:
            if error == "InvalidTransition":
                raise Refused(error, job_id=job["job_id"], **{"from": state}, to=toward)
            raise Refused(error, job_id=job["job_id"], state=state)
        if following:
            self._set_state(job, following)

    def _set_state(self, job, state):
        job["state"], job["since"], job["taken"] = state, self.turn, None

    def _cancel(self, job, reason):
        self._step(job, "cancel")
        job["reason"] = reason
        self._send({"type": "CancelJob", "job_id": job["job_id"], "reason": reason}, job)

    def _proceed(self, job_id, rule, request):
        job = self._find(job_id)
        if not self.shutdown_requested:  # which freezes the handshakes
            self._step(job, rule)
            self._send({"type": request, "job_id": job_id}, job)

    def _end_job(self, job_id, rule, cause, outcome):
        job = self._find(job_id)
        self._step(job, rule)
        job["cause"] = cause
        job["outcome"] = outcome or {"status": "Cancelled", "reason": job["reason"]}
        self._shutdown_if_idle()

    def _shutdown_if_idle(self):
        if self.closing is not None and self.inflight == 0:
            self.request_shutdown(self.closing)

    def _end_session(self, cause):
        for job in self.jobs.values():
            if job["state"] not in ENDED:
                self._set_state(job, "Failed")
                job["cause"] = cause
        self.outbox.clear()
        if self.worker is not None:
            self._remember(self.worker)
        self.worker = None
        self.ready = self.shutdown_requested = False
        self.closing = None
        self.clocks = {name: clock for name, clock in self.clocks.items() if name == "Bootstrap"}

    def _remember(self, worker_id):
        self.ended_workers[worker_id] = True
        self.ended_workers.move_to_end(worker_id)
        if len(self.ended_workers) > REMEMBERED:
            self.ended_workers.popitem(last=False)

    def _forget(self, job):
        del self.jobs[job["job_id"]]
        if all(other["region_id"] != job["region_id"] for other in self.jobs.values()):
            self.closed_regions.discard(job["region_id"])

    def _start_clock(self, envelope, job):
        request = envelope["op"]["type"]
        clock = (self.turn, envelope["seq_no"], job and job["job_id"])
        if request == "ShutdownWorker":
            self.clocks[request] = clock
        elif request == "PollStatus":
            if job["state"] not in ENDED:  # otherwise nobody answers
                self.clocks.setdefault(request, clock)
        elif request in PHASES and job["state"] == PHASES[request][0]:
            job["taken"] = self.turn

    def _send(self, op, job):
        self.sent += 1
        self.outbox.append(({
            "message_id": self.sent, "seq_no": self.sent, "decision_seq": self.decision_seq, "seed": self.seed,
            "issued_at_turn": self.turn, "worker_id": None, "op": op,
        }, job))
        self.decision_seq = (self.decision_seq + 1) & U64
        if job:
            job["last_seq_no"] = self.sent
