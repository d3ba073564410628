"""The worker's half of the protocol (PROTOCOL.md, section 10): the state behind the messages of one worker.

A refused call or message raises Refused, changes nothing and sends nothing. What is to be sent is taken with
drain_outbox.
"""

from collections import deque

from envelope import FROM_COORDINATOR, MAX_PAYLOAD, Refused, check_strings, decode, seal, write

# What may happen to a job, as the table of section 10: the states in which it may, the state that follows, and the
# state that InvalidTransition names. Acknowledged and Drained are known to the worker only. None: the job is forgotten.
RULES = {
    "cancel": (["Queued", "Running"], "CancelRequested", "CancelRequested"),
    "drain": (["Acknowledged"], "Draining", "Draining"),
    "finalize": (["Drained"], "Finalizing", "Finalizing"),
    "start": (["Queued"], "Running", "Running"),
    "acknowledge_cancel": (["CancelRequested"], "Acknowledged", "Draining"),
    "complete_drain": (["Draining"], "Drained", "Finalizing"),
    "complete_finalize": (["Finalizing"], None, "Completed"),
}
PUBLIC = {"Acknowledged": "CancelRequested", "Drained": "Draining"}

CAPACITY = "workerchannel.capacity"  # the category of a diagnostic (section 13)


def public(state):
    return PUBLIC.get(state, state)


class Worker:
    def __init__(self, worker_id, seed):
        self.id = worker_id
        self.seed = seed
        self.turn = 0
        self.phase = "starting"  # then ready, then closed
        self.shutdown_requested = False
        self.jobs = {}  # from job id to a dict of region_id, state, last_seq_no
        self.outbox = deque()
        self.sent = 0
        self.last_seen = 0

    # --- Messages of the coordinator ---

    def receive(self, data):
        """Handles a message and returns its operation, which the caller then carries out."""
        e = decode(data)
        op = e["op"]
        if self.phase == "closed":
            return op
        if op["type"] not in FROM_COORDINATOR:
            raise Refused("UnexpectedDirection", op=op["type"])
        if e["seq_no"] <= self.last_seen:
            raise Refused("InboundSequenceNotFresh", last_seen=self.last_seen, actual=e["seq_no"])
        self.last_seen = e["seq_no"]
        job_id = op.get("job_id")
        match op["type"]:
            case "SpawnJob":
                if job_id in self.jobs:
                    raise Refused("DuplicateJobID", job_id=job_id)
                self.jobs[job_id] = {"region_id": op["region_id"], "state": "Queued", "last_seq_no": 0}
            case "PollStatus":
                if self.phase == "ready" and self.state(job_id) in ("Queued", "Running"):
                    self._snapshot(job_id, None)
            case "CancelJob":
                if job_id in self.jobs:  # otherwise it has ended while the request travelled
                    self._step(job_id, "cancel")
            case "DrainJob":
                self._step(job_id, "drain")
            case "FinalizeJob":
                self._step(job_id, "finalize")
            case "ShutdownWorker":
                self.shutdown_requested = True
                for job_id in list(self.jobs):
                    self._forget_if_answered(job_id)
        return op

    # --- Calls of the application ---

    def announce(self):
        check_strings(self.id)
        if self.phase != "starting":
            raise Refused("AlreadyAnnounced" if self.phase == "ready" else "WorkerClosed")
        self.phase = "ready"
        self._send({"type": "BootstrapReady", "worker_id": self.id})

    def fail(self, reason):
        check_strings(self.id, reason)
        if self.phase == "closed":
            raise Refused("WorkerClosed")
        self._close({"type": "BootstrapFailed", "worker_id": self.id, "reason": reason})

    def start(self, job_id):
        self._need_ready()
        self._step(job_id, "start")
        self._snapshot(job_id, None)

    def report(self, job_id, detail):
        check_strings(detail)
        self._need_ready()
        state = public(self._find(job_id)["state"])
        if state not in ("Queued", "Running"):
            raise Refused("InvalidStatusSnapshotState", job_id=job_id, state=state)
        self._snapshot(job_id, detail)

    def complete(self, job_id, outcome):
        check_strings(*outcome.values())
        self._need_ready()
        size = len(outcome.get("payload", b""))
        if size > MAX_PAYLOAD:
            raise Refused("PayloadTooLarge", size=size, max=MAX_PAYLOAD)
        state = self._find(job_id)["state"]
        if state not in ("Queued", "Running", "CancelRequested"):
            raise Refused("UnexpectedCompletionPhase", job_id=job_id, state=public(state))
        self._send({"type": "JobCompleted", "job_id": job_id, "outcome": outcome})
        del self.jobs[job_id]

    def acknowledge_cancel(self, job_id):
        self._answer(job_id, "acknowledge_cancel", "CancelAcknowledged")

    def complete_drain(self, job_id):
        self._answer(job_id, "complete_drain", "DrainCompleted")

    def complete_finalize(self, job_id):
        self._answer(job_id, "complete_finalize", "FinalizeCompleted")

    def diagnose(self, level, category, message, metadata=None):
        check_strings(category, message, metadata)
        self._need_ready()
        self._send({"type": "Diagnostic", "level": level, "category": category, "message": message, "metadata": metadata})

    def say_capacity(self, jobs):
        """Says how many jobs the worker runs at a time; 0 if it is leaving (section 13)."""
        self.diagnose("Info", CAPACITY, str(jobs))

    def complete_shutdown(self):
        self._need_ready()
        self._close({"type": "ShutdownCompleted"})

    def advance_turn(self):
        self.turn += 1

    def drain_outbox(self):
        """Takes the oldest message to be sent, as bytes; None if there is none."""
        return write(seal(self.outbox.popleft())) if self.outbox else None

    def state(self, job_id):
        """Returns the state of a job; None if it is not known."""
        return public(self.jobs[job_id]["state"]) if job_id in self.jobs else None

    # --- Within ---

    def _need_ready(self):
        if self.phase != "ready":
            raise Refused("WorkerNotReady" if self.phase == "starting" else "WorkerClosed")

    def _find(self, job_id):
        if job_id not in self.jobs:
            raise Refused("UnknownJobID", job_id=job_id)
        return self.jobs[job_id]

    def _step(self, job_id, rule):
        job = self._find(job_id)
        states, following, refused = RULES[rule]
        if job["state"] not in states:
            raise Refused("InvalidTransition", job_id=job_id, **{"from": public(job["state"])}, to=refused)
        job["state"] = following
        return job

    def _answer(self, job_id, rule, operation):
        self._need_ready()
        job = self._step(job_id, rule)
        job["last_seq_no"] = self._send({"type": operation, "job_id": job_id})
        if job["state"] is None:
            del self.jobs[job_id]
        elif self.shutdown_requested:  # the last word on the job
            self._forget_if_answered(job_id)

    def _forget_if_answered(self, job_id):
        if self.jobs[job_id]["state"] in PUBLIC:  # no request about it follows
            del self.jobs[job_id]

    def _snapshot(self, job_id, detail):
        job = self.jobs[job_id]
        job["last_seq_no"] = self._send({"type": "StatusSnapshot", "job_id": job_id, "state": public(job["state"]), "detail": detail})

    def _close(self, last):
        self.phase = "closed"
        self._send(last)
        self.jobs.clear()

    def _send(self, op):
        self.sent += 1
        n = self.sent
        self.outbox.append({
            "message_id": n, "seq_no": n, "decision_seq": n, "seed": self.seed, "issued_at_turn": self.turn,
            "worker_id": self.id, "op": op,
        })
        return n
