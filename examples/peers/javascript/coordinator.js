// The coordinator's half of the protocol in plain JavaScript (PROTOCOL section 7), for Node and browsers. A call or a
// message that is refused throws a ProtocolError, changes nothing and sends nothing. What is to be sent is taken with
// drainOutbox.

import { ProtocolError, checkStrings, decode, maxPayload, seal, sentByCoordinator, write } from "../../browser/web/envelope.js";

const ended = ["Completed", "Failed"];
const remembered = 1024; // ids of ended workers
const max64 = 0xffffffffffffffffn;

// What may happen to a job, as the table of section 7: the states in which it may, the next state (none: the same), the
// states in which it is ignored, the error in every other state, and the state that InvalidTransition names.
const rules = {
  cancel: { from: ["Queued", "Running"], next: "CancelRequested", error: "InvalidTransition", to: "CancelRequested" },
  poll: { from: ["Queued", "Running"], error: "JobNotPollable" },
  snapshotQueued: { from: ["Queued"], ignored: ["CancelRequested"], error: "InvalidTransition", to: "Queued" },
  snapshotRunning: { from: ["Queued"], next: "Running", ignored: ["Running", "CancelRequested"], error: "InvalidTransition", to: "Running" },
  completed: { from: ["Queued", "Running", "CancelRequested"], next: "Completed", error: "UnexpectedCompletionPhase" },
  acknowledged: { from: ["CancelRequested"], next: "Draining", error: "InvalidTransition", to: "Draining" },
  drained: { from: ["Draining"], next: "Finalizing", error: "InvalidTransition", to: "Finalizing" },
  finalized: { from: ["Finalizing"], next: "Completed", error: "InvalidTransition", to: "Completed" },
};

// The requests of the cancel handshake: the state in which a job waits for the answer, and the limit.
const phases = {
  CancelJob: { state: "CancelRequested", limit: "cancel" },
  DrainJob: { state: "Draining", limit: "drain" },
  FinalizeJob: { state: "Finalizing", limit: "finalize" },
};

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

export class Coordinator {
  #seed;
  #limits;
  #turn = 0n;
  #sent = 0n;
  #decisionSeq; // of the next message
  #outbox = []; // of { header, op, job }
  #jobs = new Map(); // from job id to a job, see spawnJob
  #closedRegions = new Set();
  #worker = null; // the active one
  #ready = false;
  #lastSeen = 0n;
  #shutdown = false; // requested
  #closing = null; // the reason, while jobs are waited for
  #endedWorkers = new Set(); // in the order in which they ended
  #clocks = new Map(); // from Bootstrap, PollStatus and ShutdownWorker to { since, seqNo, jobID }

  // limits are boot, cancel, drain, finalize, poll and shutdown in turns, as BigInt; what is left out has no limit.
  constructor(seed, limits = {}, firstDecisionSeq = 1n) {
    this.#seed = seed;
    this.#limits = limits;
    this.#decisionSeq = firstDecisionSeq;
  }

  // --- Calls of the host ---

  spawnJob(id, regionID, taskID, obligationID, payload) {
    if (!this.#ready) throw new ProtocolError("WorkerNotReady");
    if (this.#shutdown || this.#closing !== null) throw new ProtocolError("ShutdownInProgress");
    if (this.#closedRegions.has(regionID)) throw new ProtocolError("RegionClosed", { region_id: regionID });
    if (payload.length > maxPayload) throw new ProtocolError("PayloadTooLarge", { size: payload.length, max: maxPayload });
    if (this.#jobs.has(id)) throw new ProtocolError("DuplicateJobID", { job_id: id });
    const job = {
      id, regionID, taskID, obligationID, state: "Queued", since: this.#turn, lastSeqNo: 0n, outcome: null, cause: null,
      reason: null, taken: null, // of its cancel; the turn in which its request was taken
    };
    this.#jobs.set(id, job);
    this.#send({ type: "SpawnJob", job_id: id, region_id: regionID, task_id: taskID, obligation_id: obligationID, payload }, job);
  }

  cancelJob(id, reason) {
    this.#checkRequest(reason);
    this.#cancel(this.#find(id), reason);
  }

  // cancelRegion cancels the queued and running jobs of a region and returns how many these were.
  cancelRegion(regionID, reason) {
    this.#checkRequest(reason);
    const jobs = this.jobs.filter((job) => job.regionID === regionID);
    if (jobs.length === 0) throw new ProtocolError("UnknownRegionID", { region_id: regionID });
    const open = jobs.filter((job) => rules.cancel.from.includes(job.state));
    for (const job of open) this.#cancel(job, reason);
    return open.length;
  }

  closeRegion(regionID, reason) {
    const cancelled = this.cancelRegion(regionID, reason);
    this.#closedRegions.add(regionID);
    return cancelled;
  }

  pollStatus(id) {
    if (this.#shutdown) throw new ProtocolError("ShutdownInProgress");
    const job = this.#find(id);
    this.#step(job, rules.poll);
    this.#send({ type: "PollStatus", job_id: id }, job);
  }

  requestShutdown(reason) {
    this.#checkRequest(reason);
    this.#shutdown = true;
    this.#closing = null;
    this.#clocks.delete("PollStatus");
    this.#outbox = [];
    this.#send({ type: "ShutdownWorker", reason }, null);
  }

  shutdownWhenIdle(reason) {
    this.#checkRequest(reason);
    if (this.#closing !== null) throw new ProtocolError("ShutdownInProgress");
    this.#closing = reason;
    this.#shutdownIfIdle();
  }

  expectWorker() {
    this.#clocks.set("Bootstrap", { since: this.#turn, seqNo: 0n, jobID: null });
  }

  workerLost() {
    if (this.#worker === null) this.#clocks.delete("Bootstrap");
    this.#endSession("WorkerLost");
  }

  retireWorker(workerID) {
    if (workerID === this.#worker) this.#endSession("WorkerLost");
    else this.#remember(workerID);
  }

  // removeJob forgets an ended job and returns its last state.
  removeJob(id) {
    const job = this.#find(id);
    if (!ended.includes(job.state)) throw new ProtocolError("JobNotTerminal", { job_id: id, state: job.state });
    this.#forget(job);
    return job.state;
  }

  // reap forgets all ended jobs and returns them by ascending id.
  reap() {
    const jobs = this.jobs.filter((job) => ended.includes(job.state));
    for (const job of jobs) this.#forget(job);
    return jobs;
  }

  advanceTurn() {
    this.#turn = BigInt.asUintN(64, this.#turn + 1n);
  }

  // drainOutbox takes the oldest message to be sent, as JSON; null if there is none. The clock of a request starts now.
  drainOutbox() {
    const first = this.#outbox.shift();
    if (!first) return null;
    this.#startClock(first);
    return write(seal(first.header, null, first.op));
  }

  // --- Messages of the worker ---

  // receive reads, verifies and applies a message. It returns the operation.
  receive(source) {
    const { op, seq_no, worker_id } = decode(source);
    if (sentByCoordinator(op)) throw new ProtocolError("UnexpectedDirection", { op: op.type });
    this.#admit(worker_id, seq_no, op.type.startsWith("Bootstrap"));
    this.#lastSeen = seq_no;
    this.#clocks.delete("PollStatus"); // every poll so far is answered
    const id = op.job_id;
    switch (op.type) {
      case "BootstrapReady":
        this.#ready = true;
        break;
      case "BootstrapFailed":
        this.#endSession("BootstrapFailed");
        throw new ProtocolError("BootstrapFailed", { worker_id, reason: op.reason });
      case "StatusSnapshot":
        this.#snapshot(id, op.state);
        break;
      case "JobCompleted":
        this.#endJob(id, rules.completed, "Outcome", op.outcome);
        break;
      case "CancelAcknowledged":
        this.#proceed(id, rules.acknowledged, "DrainJob");
        break;
      case "DrainCompleted":
        this.#proceed(id, rules.drained, "FinalizeJob");
        break;
      case "FinalizeCompleted":
        this.#endJob(id, rules.finalized, "Cancelled", null);
        break;
      case "ShutdownCompleted":
        this.#endSession("Shutdown");
        break;
    }
    return op;
  }

  // admit is step 3 of section 7, "Inbound".
  #admit(sender, seqNo, bootstrap) {
    if (sender === this.#worker) {
      if (seqNo > this.#lastSeen) return;
      throw new ProtocolError("InboundSequenceNotFresh", { last_seen: this.#lastSeen, actual: seqNo });
    }
    if (!bootstrap) throw new ProtocolError("WorkerSessionMismatch", { expected: this.#worker, actual: sender });
    if (this.#endedWorkers.has(sender)) throw new ProtocolError("RetiredWorker", { worker_id: sender });
    if (seqNo === 0n) throw new ProtocolError("InboundSequenceNotFresh", { last_seen: 0n, actual: 0n });
    if (this.#worker !== null) this.#endSession("Replaced");
    this.#worker = sender;
    this.#clocks.delete("Bootstrap");
  }

  #snapshot(id, state) {
    if (ended.includes(state)) throw new ProtocolError("TerminalStatusSnapshot", { job_id: id, state });
    const rule = { Queued: rules.snapshotQueued, Running: rules.snapshotRunning }[state];
    if (!rule) throw new ProtocolError("InvalidStatusSnapshotState", { job_id: id, state });
    this.#step(this.#find(id), rule);
  }

  // --- To look ---

  get workerReady() {
    return this.#ready;
  }

  get shutdownRequested() {
    return this.#shutdown;
  }

  get closing() {
    return this.#closing !== null;
  }

  get activeWorker() {
    return this.#worker;
  }

  get outboxLength() {
    return this.#outbox.length;
  }

  get inflight() {
    return this.jobs.filter((job) => !ended.includes(job.state)).length;
  }

  job(id) {
    return this.#jobs.get(id);
  }

  // jobs returns the tracked jobs by ascending id.
  get jobs() {
    return [...this.#jobs.values()].sort((a, b) => compare(a.id, b.id));
  }

  // regions returns the regions by ascending id.
  get regions() {
    const table = new Map();
    for (const { regionID, state } of this.#jobs.values()) {
      const region = table.get(regionID) ?? { regionID, tracked: 0, inflight: 0, closed: this.#closedRegions.has(regionID) };
      region.tracked++;
      if (!ended.includes(state)) region.inflight++;
      table.set(regionID, region);
    }
    return [...table.values()].sort((a, b) => compare(a.regionID, b.regionID));
  }

  // nextDue returns the request that is due first; undefined if there is none.
  #nextDue() {
    const due = [];
    const consider = (request, limit, { since, seqNo, jobID }) => {
      const turns = this.#limits[limit] ?? 0n;
      if (turns === 0n) return;
      const deadline = since + turns < max64 ? since + turns : max64;
      due.push({ request, jobID, since, deadline, seqNo });
    };
    for (const [request, limit] of [["Bootstrap", "boot"], ["PollStatus", "poll"], ["ShutdownWorker", "shutdown"]]) {
      if (this.#clocks.has(request)) consider(request, limit, this.#clocks.get(request));
    }
    if (!this.#shutdown) { // which freezes the handshakes
      for (const { id, state, taken, lastSeqNo } of this.#jobs.values()) {
        for (const [request, phase] of Object.entries(phases)) {
          if (state === phase.state && taken !== null) consider(request, phase.limit, { since: taken, seqNo: lastSeqNo, jobID: id });
        }
      }
    }
    return due.sort((a, b) => compare(a.deadline, b.deadline) || compare(a.seqNo, b.seqNo))[0];
  }

  // nextDeadline returns the turn in which the first request is due; null if there is none.
  get nextDeadline() {
    return this.#nextDue()?.deadline ?? null;
  }

  // overdue returns the request that is due first, if it is overdue: { request, jobID, since }; else null.
  get overdue() {
    const due = this.#nextDue();
    if (!due || due.deadline > this.#turn) return null;
    return { request: due.request, jobID: due.jobID, since: due.since };
  }

  // --- Within ---

  #checkRequest(reason) {
    checkStrings(reason);
    if (this.#shutdown) throw new ProtocolError("ShutdownInProgress");
  }

  #find(id) {
    const job = this.#jobs.get(id);
    if (!job) throw new ProtocolError("UnknownJobID", { job_id: id });
    return job;
  }

  #step(job, { from, next, ignored = [], error, to }) {
    const { id, state } = job;
    if (ignored.includes(state)) return;
    if (!from.includes(state)) throw new ProtocolError(error, to ? { job_id: id, from: state, to } : { job_id: id, state });
    if (next) this.#setState(job, next);
  }

  #setState(job, state) {
    Object.assign(job, { state, since: this.#turn, taken: null });
  }

  #cancel(job, reason) {
    this.#step(job, rules.cancel);
    job.reason = reason;
    this.#send({ type: "CancelJob", job_id: job.id, reason }, job);
  }

  #proceed(id, rule, request) {
    const job = this.#find(id);
    if (this.#shutdown) return; // which freezes the handshakes
    this.#step(job, rule);
    this.#send({ type: request, job_id: id }, job);
  }

  #endJob(id, rule, cause, outcome) {
    const job = this.#find(id);
    this.#step(job, rule);
    job.cause = cause;
    job.outcome = outcome ?? { status: "Cancelled", reason: job.reason };
    this.#shutdownIfIdle();
  }

  #shutdownIfIdle() {
    if (this.#closing !== null && this.inflight === 0) this.requestShutdown(this.#closing);
  }

  #endSession(cause) {
    for (const job of this.#jobs.values()) {
      if (ended.includes(job.state)) continue;
      this.#setState(job, "Failed");
      job.cause = cause;
    }
    this.#outbox = [];
    if (this.#worker !== null) this.#remember(this.#worker);
    this.#worker = null;
    this.#ready = false;
    this.#shutdown = false;
    this.#closing = null;
    this.#clocks.delete("PollStatus");
    this.#clocks.delete("ShutdownWorker");
  }

  #remember(workerID) {
    this.#endedWorkers.delete(workerID); // so that it becomes the latest
    this.#endedWorkers.add(workerID);
    if (this.#endedWorkers.size > remembered) this.#endedWorkers.delete(this.#endedWorkers.values().next().value);
  }

  #forget(job) {
    this.#jobs.delete(job.id);
    for (const { regionID } of this.#jobs.values()) if (regionID === job.regionID) return;
    this.#closedRegions.delete(job.regionID);
  }

  #startClock({ header, op, job }) {
    const clock = { since: this.#turn, seqNo: header.seq_no, jobID: job?.id ?? null };
    if (op.type === "ShutdownWorker") this.#clocks.set(op.type, clock);
    if (op.type === "PollStatus" && !ended.includes(job.state) && !this.#clocks.has(op.type)) this.#clocks.set(op.type, clock);
    if (job && phases[op.type]?.state === job.state) job.taken = this.#turn;
  }

  #send(op, job) {
    const n = ++this.#sent;
    const header = { message_id: n, seq_no: n, decision_seq: this.#decisionSeq, seed: this.#seed, issued_at_turn: this.#turn };
    this.#decisionSeq = BigInt.asUintN(64, this.#decisionSeq + 1n);
    this.#outbox.push({ header, op, job });
    if (job) job.lastSeqNo = n;
  }
}
