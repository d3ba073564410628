"""Runs the conformance data of the repository (PROTOCOL.md, section 12).

    python3 examples/peers/python/test_data.py
"""

import json
import pathlib
import unittest

from coordinator import Coordinator
from envelope import Refused, decode, digest, read, validate, write, write_json, write_op
from worker import Worker, public

DATA = pathlib.Path(__file__).parents[3] / "testdata"


def lines(name):
    with (DATA / name).open("rb") as file:  # not splitlines: it also splits at U+2028 and other characters
        for number, line in enumerate(file, 1):
            yield number, json.loads(line)


def verdict(call, *args):
    """Returns the error in the form of the data, None if there is none."""
    try:
        call(*args)
    except Refused as refusal:
        return {"kind": refusal.kind, **refusal.data}
    return None


class TestData(unittest.TestCase):
    def test_envelopes(self):
        for number, line in lines("envelopes.jsonl"):
            with self.subTest(number):
                e = read(line["wire"].encode())
                self.assertEqual(write(e).decode(), line["wire"])
                self.assertEqual(write_op(e["op"]), line["op_json"])
                self.assertEqual(digest(e), line["digest"])
                self.assertEqual(verdict(validate, e), line["error"])
                self.assertEqual(verdict(decode, line["wire"].encode()), line["error"])

    def test_documents(self):
        for number, line in lines("documents.jsonl"):
            with self.subTest(number):
                data = bytes.fromhex(line["hex"])
                if line["accept"]:
                    e = read(data)
                    self.assertEqual(write(e).decode(), line["wire"])
                    self.assertEqual(verdict(validate, e), line["error"])
                else:
                    self.assertIn(verdict(read, data)["kind"], ("Malformed", "PayloadTooLarge"))

    def test_worker_sessions(self):
        for number, session in [*lines("worker_sessions.jsonl"), *lines("worker_rules.jsonl")]:
            worker = Worker(session["worker_id"], session["seed"])
            for i, step in enumerate(session["steps"]):
                with self.subTest(f"{number}, step {i}, {step['call']}"):
                    self.step(worker, step, ("job_id", "reason", "detail", "outcome"))
                    self.assertEqual(step["after"], {
                        "ready": worker.phase == "ready", "closed": worker.phase == "closed",
                        "shutdown_requested": worker.shutdown_requested, "inflight": len(worker.jobs),
                        "outbox": len(worker.outbox),
                        "jobs": [{"job_id": i, **job, "state": public(job["state"])} for i, job in sorted(worker.jobs.items())],
                    })

    def test_sessions(self):
        for number, session in [*lines("sessions.jsonl"), *lines("rules.jsonl")]:
            c = Coordinator(session["seed"], session["limits"], session["first_decision_seq"])
            for i, step in enumerate(session["steps"]):
                with self.subTest(f"{number}, step {i}, {step['call']}"):
                    self.step(c, step, ("worker_id", "job_id", "region_id", "task_id", "obligation_id", "payload", "reason"))
                    late = c.overdue()
                    self.assertEqual(step["after"], {
                        "worker_ready": c.ready, "shutdown_requested": c.shutdown_requested, "closing": c.closing is not None,
                        "active_worker": c.worker, "inflight": c.inflight, "outbox": len(c.outbox),
                        "next_deadline": c.next_deadline(), "regions": c.regions(),
                        "overdue": late and dict(zip(("request", "job_id", "since"), late)),
                        "jobs": [self.shown(job) for _, job in sorted(c.jobs.items())],
                    })

    def shown(self, job):
        return json.loads(write_json({name: job[name] for name in job if name not in ("reason", "taken")}
                                     | {"outcome": job["cause"] and job["outcome"]}))

    def step(self, half, step, names):
        """Makes the call of a step and compares its result."""
        call = {"handle_inbound": "receive"}.get(step["call"], step["call"])
        args = [step["wire"].encode()] if call == "receive" else [self.argument(name, step[name]) for name in names if name in step]
        if call == "diagnose":
            args = list(step["diagnostic"][name] for name in ("level", "category", "message", "metadata"))
        if call == "drain_outbox":
            message = half.drain_outbox()
            return self.assertEqual(message and message.decode(), step["wire"])
        try:
            result = getattr(half, call)(*args)
        except Refused as refusal:
            return self.assertEqual({"kind": refusal.kind, **refusal.data}, step["error"])
        self.assertIsNone(step.get("error"))
        if call == "remove_job":
            self.assertEqual(result, step["state"])
        if "cancelled" in step:
            self.assertEqual(result, step["cancelled"])
        if call == "reap":
            self.assertEqual([self.shown(job) for job in result], step["reaped"])

    def argument(self, name, value):
        if name == "payload":
            return bytes(value)
        if name == "outcome" and "payload" in value:
            return {**value, "payload": bytes(value["payload"])}
        return value


if __name__ == "__main__":
    unittest.main()
