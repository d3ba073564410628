"""A worker that answers calls by name (docs/rpc.md) of a host of examples/driver, over standard input and output.

To copy, with worker.py and envelope.py: answer is what calls by name need, serve is a worker for jobs of any kind. The
methods at the end are those of the tests. A method gets a Call, and returns bytes, which go as they are, or a value,
which goes as JSON. It must not block the others; asyncio.to_thread is for what blocks. Pipes need Unix.
"""

import asyncio
import json
import sys
import uuid

from envelope import MAX_PAYLOAD, Refused
from worker import Worker


class Failed(Exception):
    """An error with a code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Call:
    def __init__(self, body, meta, report):
        self.body, self.meta = body, meta
        self.progress = lambda value: report(json.dumps(value))

    def input(self, read=lambda value: value):
        """Returns what read makes of the body's JSON; if it cannot, that is bad input."""
        try:
            return read(json.loads(self.body.decode() or "null"))
        except (ValueError, TypeError, LookupError, RecursionError) as e:
            raise Failed("bad_input", f"{type(e).__name__}: {e}")


async def answer(methods, payload, report):
    """Runs the method that a payload names, and returns the result as bytes."""
    line, feed, body = payload.partition(b"\n")
    try:
        header = json.loads(line.decode())
        name, timeout, meta = header["method"], header.get("timeout_ms"), header.get("meta", {})
        method = methods.get(name)
        if not (name and feed and type(meta) is dict) or timeout is not None and (type(timeout) is not int or timeout < 0):
            raise ValueError("expected a line with a method")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as e:
        raise Failed("bad_input", f"header: {e}")
    if method is None:
        raise Failed("unknown_method", f"there is no method {name[:64]!a}")
    limit = None if timeout is None else min(timeout, 10**9) / 1000
    began = asyncio.get_running_loop().time()
    try:
        result = await asyncio.wait_for(method(Call(body, meta, report)), limit)
    except Exception as e:
        if limit is not None and asyncio.get_running_loop().time() >= began + limit:
            raise Failed("deadline_exceeded", str(e))
        raise
    result = result if type(result) is bytes else json.dumps(result, allow_nan=False).encode()
    if len(result) > MAX_PAYLOAD:
        raise Failed("too_large", f"the result has {len(result)} bytes, the limit is {MAX_PAYLOAD}")
    return result


async def serve(run, concurrency=4):
    """A worker until the host shuts it down: run(payload, report) returns the result of a job."""
    reader = asyncio.StreamReader(limit=2 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    half, room, tasks = Worker(f"python-{uuid.uuid4()}", 0), asyncio.Semaphore(concurrency), {}

    def send():
        while message := half.drain_outbox():
            sys.stdout.buffer.write(message + b"\n")
        sys.stdout.buffer.flush()

    def report(job_id, detail):
        if half.state(job_id) == "Running":
            half.report(job_id, detail)
            send()

    async def work(job_id, payload):
        async with room:
            half.start(job_id)
            send()
            try:
                outcome = {"status": "Ok", "payload": await run(payload, lambda detail: report(job_id, detail))}
            except Failed as e:
                outcome = {"status": "Err", "code": e.code, "message": text(e)}
            except Exception as e:
                outcome = {"status": "Panicked", "message": text(repr(e))}
            if half.state(job_id) == "Running":
                half.complete(job_id, outcome)
                send()

    def look(job_id):  # whether a job that is being cancelled, or that has completed, has no task any more
        job = half.jobs.get(job_id)
        if job is None:
            del tasks[job_id]
        elif job["state"] == "Draining" and tasks[job_id].done():
            half.complete_drain(job_id)
            send()

    half.announce()
    half.say_capacity(concurrency)
    send()
    async for line in reader:
        try:
            op = half.receive(line[:-1])
        except Refused as e:
            half.fail(str(e))
            send()
            raise
        match op:
            case {"type": "SpawnJob", "job_id": job_id}:
                tasks[job_id] = asyncio.create_task(work(job_id, op["payload"]))
                tasks[job_id].add_done_callback(lambda _, job_id=job_id: look(job_id))
            case {"type": "CancelJob", "job_id": job_id} if half.state(job_id):
                half.acknowledge_cancel(job_id)
                tasks[job_id].cancel()
            case {"type": "DrainJob", "job_id": job_id}:
                look(job_id)
            case {"type": "FinalizeJob", "job_id": job_id}:
                half.complete_finalize(job_id)
                look(job_id)
            case {"type": "ShutdownWorker"}:
                for job_id, task in tasks.items():
                    if half.state(job_id) == "Queued":
                        task.cancel()  # another worker has it run
                await asyncio.gather(*tasks.values(), return_exceptions=True)
                half.complete_shutdown()
                send()
                return
        send()


def text(value):
    """Returns a text that can be sent."""
    return str(value).encode(errors="replace").decode()


async def add(call):
    a, b = call.input(lambda pair: (int(pair["A"]), int(pair["B"])))
    return a + b


async def reverse(call):
    return call.body[::-1]


async def meta(call):
    return call.meta


async def count(call):
    for i in range(call.input(int)):
        call.progress({"done": i + 1})


async def wait(call):
    call.progress("waiting")
    await asyncio.Event().wait()


released = asyncio.Event()


async def hold(call):  # lets go only when it is told to, not when it is cancelled
    call.progress("waiting")
    try:
        await asyncio.Event().wait()
    finally:
        await released.wait()


async def release(call):
    released.set()


async def find(call):
    raise Failed("no_such_user", f"no user {call.input()!r}")


async def crash(call):
    return call.no_such_member


async def large(call):
    return bytes(MAX_PAYLOAD + 1)


if __name__ == "__main__":
    methods = {f.__name__: f for f in (add, reverse, meta, count, wait, hold, release, find, crash, large)}
    asyncio.run(serve(lambda payload, report: answer(methods, payload, report)))
