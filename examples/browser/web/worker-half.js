// The worker's half of the protocol in plain JavaScript (PROTOCOL section 10): the state behind the messages of one
// worker. A call that is refused throws a ProtocolError, changes nothing and sends nothing.

import { ProtocolError, checkStrings, decode, maxPayload, seal, sentByCoordinator, write } from "./envelope.js";

// For each call or request about a job: the states in which it is allowed and the next state. Acknowledged and Drained
// are internal: the worker has answered a phase and waits for the next request. An error names the state in refusedTo.
const steps = {
  start: { from: ["Queued"], next: "Running", refusedTo: "Running" },
  cancel: { from: ["Queued", "Running"], next: "CancelRequested", refusedTo: "CancelRequested" },
  acknowledgeCancel: { from: ["CancelRequested"], next: "Acknowledged", refusedTo: "Draining" },
  drain: { from: ["Acknowledged"], next: "Draining", refusedTo: "Draining" },
  completeDrain: { from: ["Draining"], next: "Drained", refusedTo: "Finalizing" },
  finalize: { from: ["Drained"], next: "Finalizing", refusedTo: "Finalizing" },
  completeFinalize: { from: ["Finalizing"], next: "Completed", refusedTo: "Completed" },
};
const reportable = ["Queued", "Running"];
const completable = ["Queued", "Running", "CancelRequested"];
const waiting = ["Acknowledged", "Drained"]; // for a request that does not follow a request for shutdown
const publicState = (state) => ({ Acknowledged: "CancelRequested", Drained: "Draining" })[state] ?? state;

export class WorkerHalf {
  #id;
  #seed;
  #send;
  #sent = 0n;
  #lastSeen = 0n;
  #turn = 0n;
  #phase = "starting"; // then "ready", then "closed"
  #jobs = new Map(); // from job id to { state, regionID, lastSeqNo }

  shutdownRequested = false;

  // send is called with the JSON of each message.
  constructor(id, seed, send) {
    this.#id = id;
    this.#seed = seed;
    this.#send = send;
  }

  get ready() {
    return this.#phase === "ready";
  }

  get closed() {
    return this.#phase === "closed";
  }

  has(jobID) {
    return this.#jobs.has(jobID);
  }

  // jobs returns the jobs that have not ended, by ascending id.
  get jobs() {
    const jobs = [...this.#jobs].sort(([a], [b]) => (a < b ? -1 : 1));
    return jobs.map(([id, job]) => ({ id, ...job, state: publicState(job.state) }));
  }

  advanceTurn() {
    this.#turn++;
  }

  // receive reads, verifies and applies a message. It returns the operation, which the caller then carries out; null if
  // the worker is closed.
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
        this.#jobs.set(id, { state: "Queued", regionID: op.region_id, lastSeqNo: 0n });
        break;
      case "PollStatus":
        if (this.ready && reportable.includes(this.#jobs.get(id)?.state)) this.report(id, null);
        break;
      case "CancelJob":
        if (this.has(id)) this.#step(id, steps.cancel); // otherwise it has ended while the request travelled
        break;
      case "DrainJob":
        this.#step(id, steps.drain);
        break;
      case "FinalizeJob":
        this.#step(id, steps.finalize);
        break;
      case "ShutdownWorker":
        this.shutdownRequested = true;
        for (const [jobID, { state }] of this.#jobs) if (waiting.includes(state)) this.#jobs.delete(jobID);
        break;
    }
    return op;
  }

  announce() {
    checkStrings(this.#id);
    if (this.ready) throw new ProtocolError("AlreadyAnnounced");
    if (this.closed) throw new ProtocolError("WorkerClosed");
    this.#post({ type: "BootstrapReady", worker_id: this.#id });
    this.#phase = "ready";
  }

  fail(reason) {
    checkStrings(this.#id, reason);
    if (this.closed) throw new ProtocolError("WorkerClosed");
    this.#close({ type: "BootstrapFailed", worker_id: this.#id, reason });
  }

  start(id) {
    this.#answer(id, steps.start, { type: "StatusSnapshot", job_id: id, state: "Running", detail: null });
  }

  report(id, detail) {
    checkStrings(detail ?? "");
    const job = this.#find(id);
    const state = publicState(job.state);
    if (!reportable.includes(state)) throw new ProtocolError("InvalidStatusSnapshotState", { job_id: id, state });
    job.lastSeqNo = this.#post({ type: "StatusSnapshot", job_id: id, state, detail });
  }

  complete(id, outcome) {
    checkStrings(...Object.values(outcome).filter((value) => typeof value === "string"));
    this.#needReady();
    const size = outcome.payload?.length ?? 0;
    if (size > maxPayload) throw new ProtocolError("PayloadTooLarge", { size, max: maxPayload });
    const { state } = this.#find(id);
    if (!completable.includes(state)) {
      throw new ProtocolError("UnexpectedCompletionPhase", { job_id: id, state: publicState(state) });
    }
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
  }

  diagnose(level, category, message, metadata = null) {
    checkStrings(category, message, metadata ?? "");
    this.#needReady();
    this.#post({ type: "Diagnostic", level, category, message, metadata });
  }

  // sayCapacity says how many jobs the worker runs at a time; 0 if it is leaving (PROTOCOL section 13).
  sayCapacity(jobs) {
    this.diagnose("Info", "workerchannel.capacity", String(jobs));
  }

  completeShutdown() {
    this.#needReady();
    this.#close({ type: "ShutdownCompleted" });
  }

  #needReady() {
    if (this.closed) throw new ProtocolError("WorkerClosed");
    if (!this.ready) throw new ProtocolError("WorkerNotReady");
  }

  #find(id) {
    this.#needReady();
    return this.#jobs.get(id) ?? this.#unknown(id);
  }

  #unknown(id) {
    throw new ProtocolError("UnknownJobID", { job_id: id });
  }

  #step(id, { from, next, refusedTo }) {
    const job = this.#jobs.get(id) ?? this.#unknown(id);
    if (!from.includes(job.state)) {
      throw new ProtocolError("InvalidTransition", { job_id: id, from: publicState(job.state), to: refusedTo });
    }
    job.state = next;
    return job;
  }

  #answer(id, step, op) {
    this.#needReady();
    const job = this.#step(id, step);
    job.lastSeqNo = this.#post(op);
    if (job.state === "Completed" || (this.shutdownRequested && waiting.includes(job.state))) this.#jobs.delete(id);
  }

  #close(op) {
    this.#post(op);
    this.#phase = "closed";
    this.#jobs.clear();
  }

  // post sends a message and returns its sequence number.
  #post(op) {
    const n = this.#sent + 1n;
    const header = { message_id: n, seq_no: n, decision_seq: n, seed: this.#seed, issued_at_turn: this.#turn };
    const message = write(seal(header, this.#id, op));
    this.#sent = n;
    this.#send(message);
    return n;
  }
}
