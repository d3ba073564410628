"""A program for examples/conform: obeys the commands on descriptor 3 with one half of the protocol.

    go run ./examples/conform worker -- python3 examples/peers/python/peer.py worker
"""

import os
import re
import socket
import sys

from coordinator import ENDED, Coordinator
from envelope import OUTCOMES, Refused, write_op, write_outcome
from worker import Worker

# The commands that are calls of the half with the same name and arguments. Peer.obey has the others.
CALLS = {
    "worker": """announce fail start report complete acknowledge_cancel complete_drain complete_finalize diagnose
        say_capacity complete_shutdown advance_turn""".split(),
    "coordinator": """spawn_job cancel_job cancel_region close_region poll_status request_shutdown shutdown_when_idle
        expect_worker worker_lost retire_worker remove_job advance_turn""".split(),
}


def argument(word):
    if word == "-":
        return None
    if re.fullmatch("b[0-9a-f]*", word):
        return bytes.fromhex(word[1:])
    if re.fullmatch("s[0-9a-f]*", word):
        return bytes.fromhex(word[1:]).decode(errors="surrogateescape")  # which cannot be sent
    return int(word) if word.isdigit() else word


def outcome(status, *values):
    return {"status": status, **dict(zip(OUTCOMES[status], values))}


class Peer:
    def __init__(self, half):
        self.name = half
        self.half = None
        self.held = False

    def obey(self, name, args):
        """Returns the text of the reply, or raises Refused."""
        half = self.half
        match name:
            case "new" if self.name == "worker":
                self.half, self.held = Worker(*args), False
            case "new":
                limits = dict(zip(("boot", "cancel", "drain", "finalize", "poll", "shutdown"), args[1:]))
                self.half, self.held = Coordinator(args[0], limits), False
            case "receive":
                return write_op(half.receive(sys.stdin.buffer.readline()[:-1]))
            case "hold":
                self.held = True
            case "send":
                pass
            case "job" if self.name == "worker":
                return half.state(args[0]) or "none"
            case "job":
                return half.jobs[args[0]]["state"] if args[0] in half.jobs else "none"
            case "complete":
                half.complete(args[0], outcome(*args[1:]))
            case "reap":
                return " ".join(str(job["job_id"]) for job in half.reap())
            case "ended":
                job = half.jobs.get(args[0])
                if not job or job["state"] not in ENDED:
                    return "none"
                return job["cause"] + " " + (write_outcome(job["outcome"]) if job["outcome"] else "-")
            case "since":
                return str(half.jobs[args[0]]["since"]) if args[0] in half.jobs else "none"
            case "overdue":
                late = half.overdue()
                return " ".join("-" if part is None else str(part) for part in late) if late else "none"
            case "next_deadline":
                turn = half.next_deadline()
                return "none" if turn is None else str(turn)
            case _ if name in CALLS[self.name]:
                result = getattr(half, name)(*args)
                return "" if result is None else str(result)
            case _:
                raise NotImplementedError

    def answer(self, line):
        """Obeys a command, sends what is in the outbox, and returns the reply."""
        name, *args = line.split()
        verdict, text = "ok", ""
        try:
            text = self.obey(name, [argument(word) for word in args]) or ""
        except Refused as refusal:
            verdict, text = "refused", refusal.kind
        except NotImplementedError:
            return "unsupported"
        count, most = 0, 1 if name == "send" else 0 if self.held else sys.maxsize
        while count < most and (message := self.half.drain_outbox()):
            sys.stdout.buffer.write(message + b"\n")
            count += 1
        sys.stdout.buffer.flush()
        return f"{verdict} {count} {text}".rstrip()


def pipes():
    if address := os.environ.get("CONFORM_ADDR"):
        host, port = address.rsplit(":", 1)
        stream = socket.create_connection((host, int(port))).makefile("rw", encoding="utf-8", newline="\n")
        return stream, stream
    return open(3, encoding="utf-8"), open(4, "w", encoding="utf-8")


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in CALLS:
        sys.exit("usage: peer.py worker|coordinator")
    peer = Peer(sys.argv[1])
    commands, replies = pipes()
    for line in iter(commands.readline, ""):
        print(peer.answer(line), file=replies, flush=True)


if __name__ == "__main__":
    main()
