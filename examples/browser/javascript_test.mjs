// Tests of the worker in plain JavaScript with the conformance data of the repository, which was made by an independent
// implementation. go test runs them; alone: node --test examples/browser/

import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { decode, digest, maxPayload, read, seal, validate, write, writeOp } from "./web/envelope.js";
import { Tile } from "./web/mandelbrot.js";
import { WorkerHalf } from "./web/worker-half.js";

// lines reads a file of the test data; all integers become BigInt.
function lines(name) {
  const text = readFileSync(new URL(`../../testdata/${name}`, import.meta.url), "utf8");
  const all = text.trimEnd().split("\n");
  assert.notEqual(all.length, 0);
  return all.map((line) => JSON.parse(line.replace(/("(?:[^"\\]|\\.)*")|(\d+)/g, (_, s, n) => s ?? `{"bigint":"${n}"}`), revive));
}
const revive = (_, value) => (value?.bigint ? BigInt(value.bigint) : value);

// verdict returns the error that a call throws, in the form of the test data; null if it throws none.
function verdict(call) {
  try {
    call();
    return null;
  } catch (e) {
    return { kind: e.kind, ...e.data };
  }
}

const exact = (error) => error && Object.fromEntries(Object.entries(error).map(([k, v]) => [k, typeof v === "number" ? BigInt(v) : v]));

test("every envelope is read, written, digested and validated as by the independent implementation", () => {
  for (const { wire, op_json, digest: sum, error } of lines("envelopes.jsonl")) {
    const e = read(wire);
    assert.equal(write(e), wire);
    assert.equal(writeOp(e.op), op_json);
    assert.equal(digest(e), sum);
    assert.deepEqual(exact(verdict(() => validate(e))), error);
    assert.deepEqual(exact(verdict(() => decode(wire))), error);
  }
});

test("every document is accepted or refused as by the independent implementation", () => {
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  for (const { hex, accept, wire, error } of lines("documents.jsonl")) {
    const bytes = Buffer.from(hex, "hex");
    if (!accept) {
      const kind = isUtf8(bytes) ? verdict(() => read(utf8.decode(bytes)))?.kind : "not UTF-8";
      assert.ok(["not UTF-8", "Malformed", "PayloadTooLarge"].includes(kind), `${kind}: ${bytes}`);
      continue;
    }
    const e = read(utf8.decode(bytes));
    assert.equal(write(e), wire);
    assert.deepEqual(exact(verdict(() => validate(e))), error);
  }
});

test("a refusal has the byte offset and the cause", () => {
  const text = '{"é":"é","version":1,"version":1}';
  assert.deepEqual(verdict(() => read(text)), { kind: "Malformed", offset: 33, cause: "the member version occurs twice" });
});

test("a payload over the limit is refused with its size, one at the limit is not", () => {
  const spawn = (size) => coordinator(1n, { type: "SpawnJob", job_id: 1n, region_id: 0n, task_id: 0n, obligation_id: 0n, payload: new Uint8Array(size) });
  assert.equal(decode(spawn(maxPayload)).op.payload.length, maxPayload);
  assert.deepEqual(verdict(() => decode(spawn(maxPayload + 1))), { kind: "PayloadTooLarge", size: maxPayload + 1, max: maxPayload });
});

test("an unknown member may be any number", () => {
  const message = coordinator(1n, spawn(1n));
  assert.equal(write(decode(message.replace("{", '{"unknown":[1e999,-0.5E-7],'))), message);
});

test("nesting is bounded", () => {
  const deep = (n) => `{"x":${"[".repeat(n)}${"]".repeat(n)}}`;
  assert.match(verdict(() => read(deep(126))).cause, /missing/);
  assert.match(verdict(() => read(deep(127))).cause, /nesting is too deep/);
  assert.match(verdict(() => read(deep(1e6))).cause, /nesting is too deep/);
});

// coordinator makes a message of the coordinator.
function coordinator(n, op) {
  return write(seal({ message_id: n, seq_no: n, decision_seq: n, seed: 42n, issued_at_turn: 0n }, null, op));
}

const spawn = (id) => ({ type: "SpawnJob", job_id: id, region_id: 0n, task_id: 0n, obligation_id: 0n, payload: new Uint8Array() });

// worker returns a worker, the messages that it has sent, and a function that sends it an operation.
function worker() {
  const sent = [];
  let n = 0n;
  const half = new WorkerHalf("w", 42n, (text) => sent.push(decode(text)));
  const tell = (op) => half.receive(coordinator(++n, op));
  return { half, tell, sent, types: () => sent.splice(0).map((e) => e.op.type) };
}

test("a worker sends nothing before it is ready, and nothing after it has closed", () => {
  const { half, tell, types } = worker();
  tell(spawn(1n));
  tell({ type: "PollStatus", job_id: 1n });
  assert.equal(verdict(() => half.start(1n)).kind, "WorkerNotReady");
  assert.deepEqual(types(), []);
  half.announce();
  assert.equal(verdict(() => half.announce()).kind, "AlreadyAnnounced");
  half.start(1n);
  half.completeShutdown();
  assert.deepEqual(types(), ["BootstrapReady", "StatusSnapshot", "ShutdownCompleted"]);
  assert.equal(tell(spawn(2n)), null);
  for (const call of [() => half.announce(), () => half.fail("late"), () => half.start(2n), () => half.completeShutdown()]) {
    assert.equal(verdict(call).kind, "WorkerClosed");
  }
  assert.deepEqual(types(), []);
});

test("the cancel handshake has only one order", () => {
  const { half, tell, types } = worker();
  half.announce();
  tell(spawn(1n));
  const refused = (...calls) => calls.forEach((call) => assert.equal(verdict(call).kind, "InvalidTransition"));
  const [acknowledge, drain, finalize] = [() => half.acknowledgeCancel(1n), () => half.completeDrain(1n), () => half.completeFinalize(1n)];
  refused(acknowledge, drain, finalize);
  tell({ type: "CancelJob", job_id: 1n, reason: "test" });
  refused(drain, finalize, () => tell({ type: "DrainJob", job_id: 1n }));
  acknowledge();
  assert.equal(verdict(() => half.complete(1n, { status: "Ok", payload: new Uint8Array() })).kind, "UnexpectedCompletionPhase");
  refused(acknowledge, drain, () => tell({ type: "FinalizeJob", job_id: 1n }));
  tell({ type: "DrainJob", job_id: 1n });
  drain();
  tell({ type: "FinalizeJob", job_id: 1n });
  finalize();
  assert.equal(verdict(finalize).kind, "UnknownJobID");
  tell({ type: "CancelJob", job_id: 1n, reason: "too late" });
  tell(spawn(1n)); // the id may be used again
  assert.deepEqual(types(), ["BootstrapReady", "CancelAcknowledged", "DrainCompleted", "FinalizeCompleted"]);
});

test("a message that is stale, of a worker, damaged or about a known job is refused", () => {
  const { half, tell } = worker();
  half.announce();
  tell(spawn(1n));
  assert.deepEqual(verdict(() => half.receive(coordinator(1n, spawn(2n)))), { kind: "InboundSequenceNotFresh", last_seen: 1n, actual: 1n });
  const header = { message_id: 9n, seq_no: 9n, decision_seq: 9n, seed: 42n, issued_at_turn: 0n };
  assert.equal(verdict(() => half.receive(write(seal(header, "w", { type: "ShutdownCompleted" })))).kind, "UnexpectedDirection");
  assert.equal(verdict(() => half.receive(coordinator(2n, spawn(2n)).replace('"seed":42', '"seed":43'))).kind, "ReplayHashMismatch");
  assert.equal(half.has(2n), false);
  assert.deepEqual(verdict(() => tell(spawn(1n))), { kind: "DuplicateJobID", job_id: 1n });
});

test("every session of a worker is as with the independent implementation", () => {
  for (const { worker_id, seed, steps } of lines("worker_sessions.jsonl")) {
    const outbox = [];
    const half = new WorkerHalf(worker_id, seed, (message) => outbox.push(message));
    steps.forEach((step, i) => {
      const got = call(half, outbox, step);
      if ("error" in step) assert.deepEqual(exact(got.error), step.error, `step ${i}: ${step.call}`);
      if (step.call === "drain_outbox") assert.equal(got.wire, step.wire, `step ${i}`);
      const after = {
        ready: half.ready,
        closed: half.closed,
        shutdown_requested: half.shutdownRequested,
        inflight: BigInt(half.jobs.length),
        outbox: BigInt(outbox.length),
        jobs: half.jobs.map((job) => ({ job_id: job.id, region_id: job.regionID, state: job.state, last_seq_no: job.lastSeqNo })),
      };
      assert.deepEqual(after, step.after, `after step ${i}: ${step.call}`);
    });
  }
});

// call makes the call of a step.
function call(half, outbox, { call, wire, reason, job_id, detail, outcome, diagnostic }) {
  const calls = {
    handle_inbound: () => half.receive(wire),
    announce: () => half.announce(),
    fail: () => half.fail(reason),
    start: () => half.start(job_id),
    report: () => half.report(job_id, detail),
    complete: () => half.complete(job_id, withBytes(outcome)),
    acknowledge_cancel: () => half.acknowledgeCancel(job_id),
    complete_drain: () => half.completeDrain(job_id),
    complete_finalize: () => half.completeFinalize(job_id),
    diagnose: () => half.diagnose(diagnostic.level, diagnostic.category, diagnostic.message, diagnostic.metadata),
    complete_shutdown: () => half.completeShutdown(),
    advance_turn: () => half.advanceTurn(),
  };
  if (call === "drain_outbox") return { wire: outbox.shift() ?? null };
  return { error: verdict(calls[call]) };
}

const withBytes = (outcome) => (outcome.payload ? { ...outcome, payload: Uint8Array.from(outcome.payload, Number) } : outcome);

test("a worker that is asked to stop forgets the jobs about which no request follows", () => {
  const { half, tell, types } = worker();
  half.announce();
  for (const id of [1n, 2n, 3n]) tell(spawn(id));
  for (const id of [1n, 2n]) tell({ type: "CancelJob", job_id: id, reason: "test" });
  half.acknowledgeCancel(1n);
  tell({ type: "ShutdownWorker", reason: "test" });
  assert.deepEqual(half.jobs.map((job) => job.id), [2n, 3n]);
  half.acknowledgeCancel(2n);
  assert.deepEqual(half.jobs.map((job) => job.id), [3n]);
  assert.equal(verdict(() => half.completeDrain(2n)).kind, "UnknownJobID");
  half.completeShutdown();
  assert.deepEqual(types(), ["BootstrapReady", "CancelAcknowledged", "CancelAcknowledged", "ShutdownCompleted"]);
});

test("an outcome that cannot be sent leaves the job as it was", () => {
  const { half, tell, sent } = worker();
  half.announce();
  tell(spawn(1n));
  assert.equal(verdict(() => half.complete(1n, { status: "Ok", payload: new Uint8Array(maxPayload + 1) })).kind, "PayloadTooLarge");
  assert.equal(verdict(() => half.complete(1n, { status: "Err", code: "\ud800", message: "" })).kind, "InvalidValue");
  half.complete(1n, { status: "Ok", payload: new Uint8Array([1, 2, 255]) });
  assert.deepEqual(sent.map((e) => e.seq_no), [1n, 2n]);
  assert.deepEqual([...sent[1].op.outcome.payload], [1, 2, 255]);
});

test("a payload that is not a tile is refused", () => {
  assert.throws(() => new Tile(new Uint8Array(27)), /28 bytes/);
  assert.throws(() => new Tile(new Uint8Array(28)), /1 to 96 pixels/);
});

// program runs worker-js.js, with the globals of a Web Worker. step is what happens next in its message channel, which
// is a slice of a tile; it returns false if nothing is due.
async function program() {
  const sent = [];
  const due = [];
  class Channel {
    port1 = { onmessage: null };
    port2 = { postMessage: (data) => due.push(() => this.port1.onmessage({ data })) };
  }
  Object.assign(globalThis, {
    location: { search: "?seed=42" },
    postMessage: (text) => sent.push(text && decode(text).op),
    close: () => {},
    MessageChannel: Channel,
    onmessage: null,
  });
  await import(`./web/worker-js.js?${++programs}`);
  let n = 0n;
  return {
    tell: (op) => globalThis.onmessage({ data: coordinator(++n, op) }),
    step() {
      const next = due.shift();
      next?.();
      return next !== undefined;
    },
    take: () => sent.splice(0),
    said: () => sent.splice(0).map((op) => op && [op.type, op.job_id, op.state ?? op.outcome?.status].filter((part) => part !== undefined).join(" ")),
  };
}
let programs = 0; // so that each is a module of its own

// tile is a job of two slices.
function tile(id) {
  const payload = new Uint8Array(28);
  const view = new DataView(payload.buffer);
  view.setUint16(24, 32, true);
  view.setUint16(26, 1, true);
  return { ...spawn(id), payload };
}

test("the worker says first that it runs one job at a time", async () => {
  const { take } = await program();
  const [ready, capacity, ...more] = take();
  assert.equal(ready.type, "BootstrapReady");
  assert.deepEqual(capacity, { type: "Diagnostic", level: "Info", category: "workerchannel.capacity", message: "1", metadata: null });
  assert.deepEqual(more, []);
});

test("the worker reports a job that it has begun before it acknowledges its cancel, and no other", async () => {
  const { tell, step, said } = await program();
  said();
  for (const id of [1n, 2n, 3n]) tell(tile(id));
  assert.deepEqual(said(), []);
  step();
  for (const id of [1n, 2n]) tell({ type: "CancelJob", job_id: id, reason: "test" });
  while (step());
  assert.deepEqual(said(), [
    "StatusSnapshot 1 Running", "StatusSnapshot 1 Running", "CancelAcknowledged 1", "CancelAcknowledged 2",
    "StatusSnapshot 3 Running", "StatusSnapshot 3 Running", "JobCompleted 3 Ok",
  ]);
});

test("the worker begins jobs in the order in which they come, those that are no tiles too", async () => {
  const { tell, step, said } = await program();
  said();
  for (const job of [tile(1n), spawn(2n), tile(3n)]) tell(job);
  tell({ type: "CancelJob", job_id: 3n, reason: "test" });
  while (step());
  assert.deepEqual(said(), [
    "CancelAcknowledged 3", "StatusSnapshot 1 Running", "StatusSnapshot 1 Running", "JobCompleted 1 Ok", "JobCompleted 2 Err",
  ]);
});

test("a worker that is asked to stop finishes what it has begun and begins nothing more", async () => {
  const { tell, step, said } = await program();
  said();
  for (const id of [1n, 2n]) tell(tile(id));
  step();
  tell({ type: "ShutdownWorker", reason: "test" });
  while (step());
  assert.deepEqual(said(), ["StatusSnapshot 1 Running", "StatusSnapshot 1 Running", "JobCompleted 1 Ok", "ShutdownCompleted", null]);
});
