// A worker that answers calls by name (docs/rpc.md) of a host of examples/driver, over standard input and output.
//
// To copy: answer is what calls by name need, serve is a worker for jobs of any kind. The methods at the end are those of
// the tests. A method gets a Call, and returns a Uint8Array, which goes as it is, or a value, which goes as JSON.

import { randomUUID } from "node:crypto";
import { exit, stdin } from "node:process";

import { ProtocolError, maxPayload } from "../../browser/web/envelope.js";
import { WorkerHalf } from "../../browser/web/worker-half.js";
import { lines, text, writeAll } from "./stdio.js";

// An error with a code.
class Failed extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

// A Call is what a method gets; signal says when to stop.
class Call {
  constructor(body, meta, report, signal) {
    Object.assign(this, { body, meta, report, signal });
  }

  // input returns what read makes of the body's JSON; if it cannot, that is bad input.
  input(read = (value) => value) {
    try {
      return read(JSON.parse(text(this.body) || "null"));
    } catch (error) {
      throw new Failed("bad_input", error.message);
    }
  }

  progress(value) {
    this.report(JSON.stringify(value));
  }
}

const isObject = (v) => typeof v === "object" && v !== null && !Array.isArray(v);

// answer runs the method that a payload names, and returns the result as bytes.
async function answer(methods, payload, report, stop) {
  const end = payload.indexOf(10);
  let header;
  try {
    header = JSON.parse(text(payload.subarray(0, Math.max(end, 0))));
  } catch (error) {
    throw new Failed("bad_input", `header: ${error.message}`);
  }
  const { method, timeout_ms: ms, meta = {} } = isObject(header) ? header : {};
  if (typeof method !== "string" || !method || !isObject(meta) || (ms !== undefined && !(Number.isInteger(ms) && ms >= 0))) {
    throw new Failed("bad_input", "header: expected a line with a method");
  }
  if (!Object.hasOwn(methods, method)) {
    throw new Failed("unknown_method", `there is no method ${JSON.stringify(method.slice(0, 64))}`);
  }
  let late = false;
  const timer = ms !== undefined && setTimeout(() => {
    late = true;
    stop.abort(new Error("the deadline has passed"));
  }, Math.min(ms, 2 ** 31 - 1));
  let result;
  try {
    result = await methods[method](new Call(payload.subarray(end + 1), meta, report, stop.signal));
  } catch (error) {
    throw late ? new Failed("deadline_exceeded", error.message) : error;
  } finally {
    clearTimeout(timer);
  }
  if (!(result instanceof Uint8Array)) result = Buffer.from(result === undefined ? "" : JSON.stringify(result));
  if (result.length > maxPayload) {
    throw new Failed("too_large", `the result has ${result.length} bytes, the limit is ${maxPayload}`);
  }
  return result;
}

const plain = (s) => Buffer.from(String(s)).toString(); // without unpaired surrogates

// serve is a worker until the host shuts it down: run(payload, report, stop) returns the result of a job.
async function serve(run, concurrency = 4) {
  const half = new WorkerHalf(`javascript-${randomUUID()}`, 0n, (message) => writeAll(1, `${message}\n`));
  const state = (id) => half.jobs.find((job) => job.id === id)?.state;
  const running = new Map(); // from job id to AbortController
  let queue = [];

  function begin() {
    while (queue.length > 0 && running.size < concurrency) work(queue.shift());
    if (half.shutdownRequested && running.size === 0) {
      half.completeShutdown();
      exit();
    }
  }

  async function work({ job_id: id, payload }) {
    const stop = new AbortController();
    running.set(id, stop);
    half.start(id);
    const report = (detail) => state(id) === "Running" && half.report(id, detail);
    let outcome;
    try {
      outcome = { status: "Ok", payload: await run(payload, report, stop) };
    } catch (error) {
      outcome = error instanceof Failed
        ? { status: "Err", code: plain(error.code), message: plain(error.message) }
        : { status: "Panicked", message: plain(error) };
    }
    running.delete(id);
    if (state(id) === "Running") half.complete(id, outcome);
    if (state(id) === "Draining") half.completeDrain(id);
    begin();
  }

  function take(op) {
    const id = op.job_id;
    switch (op.type) {
      case "SpawnJob":
        queue.push(op);
        break;
      case "CancelJob":
        if (!half.has(id)) break; // it has ended meanwhile
        queue = queue.filter((spawn) => spawn.job_id !== id);
        half.acknowledgeCancel(id);
        running.get(id)?.abort(new Error(op.reason));
        break;
      case "DrainJob":
        if (!running.has(id)) half.completeDrain(id);
        break;
      case "FinalizeJob":
        half.completeFinalize(id);
        break;
      case "ShutdownWorker":
        queue = []; // for other workers
        break;
    }
    begin();
  }

  half.announce();
  half.sayCapacity(concurrency);
  try {
    for await (const line of lines(stdin)) take(half.receive(text(line)));
  } catch (error) {
    if (error instanceof ProtocolError) half.fail(error.message);
    throw error;
  }
  exit(); // the host is gone
}

let release;
const methods = {
  async add(call) {
    const [a, b] = call.input((pair) => [pair.A, pair.B].map((n) => {
      if (typeof n !== "number") throw new Error("expected a pair of numbers");
      return n;
    }));
    return a + b;
  },
  reverse: async (call) => call.body.reverse(),
  meta: async (call) => call.meta,
  async count(call) {
    const n = call.input();
    for (let i = 1; i <= n; i++) call.progress({ done: i });
  },
  wait: (call) => new Promise((_, reject) => {
    call.signal.onabort = () => reject(call.signal.reason);
    call.progress("waiting");
  }),
  hold: (call) => new Promise((resolve) => { // lets go only when it is told to, not when it is cancelled
    release = resolve;
    call.progress("waiting");
  }),
  release: async () => release(),
  async find(call) {
    throw new Failed("no_such_user", `no user ${call.input()}`);
  },
  crash: async (call) => call.noSuchMember.length,
  large: async () => new Uint8Array(maxPayload + 1),
};

serve((...job) => answer(methods, ...job));
