// The coordinator with the conformance data of the repository, which was made by an independent implementation. The
// envelopes and the worker are tested in examples/browser. go test runs this; alone: node --test examples/peers/javascript/

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Coordinator } from "./coordinator.js";

// sessions reads the journals; all integers become BigInt.
function sessions() {
  const read = (name) => readFileSync(new URL(`../../../testdata/${name}.jsonl`, import.meta.url), "utf8");
  const text = read("sessions") + read("rules");
  return text.trimEnd().split("\n").map((line) => JSON.parse(line.replace(/("(?:[^"\\]|\\.)*")|(\d+)/g, (_, s, n) => s ?? `{"bigint":"${n}"}`), revive));
}
const revive = (_, value) => (value?.bigint ? BigInt(value.bigint) : value);

// big makes all numbers BigInt, and a payload an array.
const big = (value) => {
  if (typeof value === "number") return BigInt(value);
  if (value instanceof Uint8Array) return [...value].map(BigInt);
  if (value === null || typeof value !== "object") return value;
  return Array.isArray(value) ? value.map(big) : Object.fromEntries(Object.entries(value).map(([name, v]) => [name, big(v)]));
};

const shown = (job) => big({
  job_id: job.id, region_id: job.regionID, task_id: job.taskID, obligation_id: job.obligationID, state: job.state,
  since: job.since, last_seq_no: job.lastSeqNo, outcome: job.outcome, cause: job.cause,
});

const calls = {
  handle_inbound: (c, s) => void c.receive(s.wire),
  spawn_job: (c, s) => c.spawnJob(s.job_id, s.region_id, s.task_id, s.obligation_id, Uint8Array.from(s.payload, Number)),
  cancel_job: (c, s) => c.cancelJob(s.job_id, s.reason),
  cancel_region: (c, s) => ({ cancelled: big(c.cancelRegion(s.region_id, s.reason)) }),
  close_region: (c, s) => ({ cancelled: big(c.closeRegion(s.region_id, s.reason)) }),
  poll_status: (c, s) => c.pollStatus(s.job_id),
  request_shutdown: (c, s) => c.requestShutdown(s.reason),
  shutdown_when_idle: (c, s) => c.shutdownWhenIdle(s.reason),
  expect_worker: (c) => c.expectWorker(),
  worker_lost: (c) => c.workerLost(),
  retire_worker: (c, s) => c.retireWorker(s.worker_id),
  remove_job: (c, s) => ({ state: c.removeJob(s.job_id) }),
  reap: (c) => ({ reaped: c.reap().map(shown) }),
  advance_turn: (c) => c.advanceTurn(),
  drain_outbox: (c) => ({ wire: c.drainOutbox() }),
};

test("every session of a coordinator is as with the independent implementation", () => {
  for (const { seed, first_decision_seq, limits, steps } of sessions()) {
    const c = new Coordinator(seed, limits, first_decision_seq);
    steps.forEach((step, i) => {
      const what = `step ${i}: ${step.call}`;
      let error = null;
      try {
        for (const [name, value] of Object.entries(calls[step.call](c, step) ?? {})) assert.deepEqual(value, step[name], what);
      } catch (e) {
        if (!e.kind) throw e;
        error = big({ kind: e.kind, ...e.data });
      }
      if ("error" in step) assert.deepEqual(error, step.error, what);
      const late = c.overdue;
      assert.deepEqual({
        worker_ready: c.workerReady, shutdown_requested: c.shutdownRequested, closing: c.closing, active_worker: c.activeWorker,
        inflight: BigInt(c.inflight), outbox: BigInt(c.outboxLength), next_deadline: c.nextDeadline,
        overdue: late && { request: late.request, job_id: late.jobID, since: late.since },
        regions: c.regions.map((r) => big({ region_id: r.regionID, tracked: r.tracked, inflight: r.inflight, closed: r.closed })),
        jobs: c.jobs.map(shown),
      }, step.after, `after ${what}`);
    });
  }
});
