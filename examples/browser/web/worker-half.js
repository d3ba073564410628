// The worker's half of the protocol in plain JavaScript (PROTOCOL section 10): the state behind the
// messages of one worker. Calls out of turn throw a ProtocolError, change nothing and send nothing.

import { ProtocolError, decode, maxPayload, seal, sentByCoordinator, write } from "./envelope.js";

// For each call or request about a job: the states it is allowed in, and the state that follows.
// Acknowledged and Drained are the worker's own: it has answered a phase and waits for the next.
const steps = {
  start: { from: ["Queued"], to: "Running" },
  cancel: { from: ["Queued", "Running"], to: "CancelRequested" },
  acknowledgeCancel: { from: ["CancelRequested"], to: "Acknowledged" },
  drain: { from: ["Acknowledged"], to: "Draining" },
  completeDrain: { from: ["Draining"], to: "Drained" },
  finalize: { from: ["Drained"], to: "Finalizing" },
  completeFinalize: { from: ["Finalizing"], to: "Completed" },
};
const reportable = ["Queued", "Running"];
const completable = ["Queued", "Running", "CancelRequested"];

export class WorkerHalf {
  #id;
  #seed;
  #send;
  #sent = 0n;
  #lastSeen = 0n;
  #turn = 0n;
  #phase = "starting"; // then "ready", then "closed"
  #jobs = new Map(); // from job id to state

  shutdownRequested = false;

  // send takes the text of a message.
  constructor(id, seed, send) {
    this.#id = id;
    this.#seed = seed;
    this.#send = send;
  }

  get closed() {
    return this.#phase === "closed";
  }

  has(jobID) {
    return this.#jobs.has(jobID);
  }

  advanceTurn() {
    this.#turn++;
  }

  // receive reads, verifies and applies a message, and returns the operation for the caller to carry
  // out; null when the worker has closed.
  receive(source) {
    const { op, seq_no } = decode(source);
    if (this.closed) return null;
    if (!sentByCoordinator(op)) throw new ProtocolError("UnexpectedDirection", { op: op.type });
    if (seq_no <= this.#lastSeen) {
      throw new ProtocolError("InboundSequenceNotFresh", { last_seen: this.#lastSeen, actual: seq_no });
    }
    this.#lastSeen = seq_no;
    const id = op.job_id;
    switch (op.type) {
      case "SpawnJob":
        if (this.has(id)) throw new ProtocolError("DuplicateJobID", { job_id: id });
        this.#jobs.set(id, "Queued");
        break;
      case "PollStatus":
        if (this.#phase === "ready" && reportable.includes(this.#jobs.get(id))) this.report(id, null);
        break;
      case "CancelJob":
        if (this.has(id)) this.#step(id, steps.cancel); // or it ended while the request travelled
        break;
      case "DrainJob":
        this.#step(id, steps.drain);
        break;
      case "FinalizeJob":
        this.#step(id, steps.finalize);
        break;
      case "ShutdownWorker":
        this.shutdownRequested = true;
        break;
    }
    return op;
  }

  announce() {
    if (this.#phase === "ready") throw new ProtocolError("AlreadyAnnounced");
    if (this.closed) throw new ProtocolError("WorkerNotReady");
    this.#post({ type: "BootstrapReady", worker_id: this.#id });
    this.#phase = "ready";
  }

  fail(reason) {
    if (this.closed) throw new ProtocolError("WorkerNotReady");
    this.#close({ type: "BootstrapFailed", worker_id: this.#id, reason });
  }

  start(id) {
    this.#answer(id, steps.start, { type: "StatusSnapshot", job_id: id, state: "Running", detail: null });
  }

  report(id, detail) {
    const state = this.#find(id);
    if (!reportable.includes(state)) throw new ProtocolError("InvalidStatusSnapshotState", { job_id: id, state });
    this.#post({ type: "StatusSnapshot", job_id: id, state, detail });
  }

  complete(id, outcome) {
    this.#needReady();
    const size = outcome.payload?.length ?? 0;
    if (size > maxPayload) throw new ProtocolError("PayloadTooLarge", { size, max: maxPayload });
    const state = this.#find(id);
    if (!completable.includes(state)) throw new ProtocolError("UnexpectedCompletionPhase", { job_id: id, state });
    this.#post({ type: "JobCompleted", job_id: id, outcome });
    this.#jobs.delete(id);
  }

  acknowledgeCancel(id) {
    this.#answer(id, steps.acknowledgeCancel, { type: "CancelAcknowledged", job_id: id });
  }

  completeDrain(id) {
    this.#answer(id, steps.completeDrain, { type: "DrainCompleted", job_id: id });
  }

  completeFinalize(id) {
    this.#answer(id, steps.completeFinalize, { type: "FinalizeCompleted", job_id: id });
    this.#jobs.delete(id);
  }

  diagnose(level, category, message, metadata = null) {
    this.#needReady();
    this.#post({ type: "Diagnostic", level, category, message, metadata });
  }

  completeShutdown() {
    this.#needReady();
    this.#close({ type: "ShutdownCompleted" });
  }

  #needReady() {
    if (this.#phase !== "ready") throw new ProtocolError("WorkerNotReady");
  }

  #find(id) {
    this.#needReady();
    return this.#jobs.get(id) ?? this.#unknown(id);
  }

  #unknown(id) {
    throw new ProtocolError("UnknownJobID", { job_id: id });
  }

  #step(id, { from, to }) {
    const state = this.#jobs.get(id) ?? this.#unknown(id);
    if (!from.includes(state)) throw new ProtocolError("InvalidTransition", { job_id: id, from: state, to });
    this.#jobs.set(id, to);
  }

  #answer(id, step, op) {
    this.#needReady();
    this.#step(id, step);
    this.#post(op);
  }

  #close(op) {
    this.#post(op);
    this.#phase = "closed";
    this.#jobs.clear();
  }

  #post(op) {
    const n = this.#sent + 1n;
    const header = { message_id: n, seq_no: n, decision_seq: n, seed: this.#seed, issued_at_turn: this.#turn };
    const message = write(seal(header, this.#id, op)); // throws for text that cannot be sent
    this.#sent = n;
    this.#send(message);
  }
}
