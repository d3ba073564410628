// A program for examples/conform: obeys the commands on descriptor 3 with one half of the protocol.
//
//	go run ./examples/conform worker -- node examples/peers/javascript/peer.js worker

import { isUtf8 } from "node:buffer";
import { Socket, connect } from "node:net";
import { argv, env, stdin } from "node:process";

import { ProtocolError, writeOp, writeOutcome } from "../../browser/web/envelope.js";
import { WorkerHalf } from "../../browser/web/worker-half.js";
import { Coordinator } from "./coordinator.js";
import { lines, text, writeAll } from "./stdio.js";

const outcomes = {
  Ok: (payload) => ({ status: "Ok", payload }),
  Err: (code, message) => ({ status: "Err", code, message }),
  Cancelled: (reason) => ({ status: "Cancelled", reason }),
  Panicked: (message) => ({ status: "Panicked", message }),
};

function argument(word) {
  if (word === "-") return null;
  if (/^\d+$/.test(word)) return BigInt(word);
  if (/^b[0-9a-f]*$/.test(word)) return new Uint8Array(Buffer.from(word.slice(1), "hex"));
  if (!/^s[0-9a-f]*$/.test(word)) return word;
  const bytes = Buffer.from(word.slice(1), "hex");
  return isUtf8(bytes) ? bytes.toString() : "\ud800"; // which cannot be sent
}

const nameOf = (name) => name.replace(/_(.)/g, (_, c) => c.toUpperCase());

// A worker's half sends at once, so its outbox is here.
function workerCommands(peer) {
  const calls = "announce fail start report acknowledge_cancel complete_drain complete_finalize diagnose " +
    "say_capacity complete_shutdown advance_turn";
  return {
    ...forward(peer, calls),
    new(id, seed) {
      const outbox = [];
      peer.half = new WorkerHalf(id, seed, (message) => outbox.push(message));
      peer.take = () => outbox.shift() ?? null;
    },
    job: (id) => peer.half.jobs.find((job) => job.id === id)?.state ?? "none",
    complete: (id, status, ...values) => peer.half.complete(id, outcomes[status](...values)),
  };
}

function coordinatorCommands(peer) {
  const calls = "spawn_job cancel_job cancel_region close_region poll_status request_shutdown shutdown_when_idle " +
    "expect_worker worker_lost retire_worker remove_job advance_turn";
  return {
    ...forward(peer, calls),
    new(seed, boot, cancel, drain, finalize, poll, shutdown) {
      peer.half = new Coordinator(seed, { boot, cancel, drain, finalize, poll, shutdown });
      peer.take = () => peer.half.drainOutbox();
    },
    job: (id) => peer.half.job(id)?.state ?? "none",
    reap: () => peer.half.reap().map((job) => job.id).join(" "),
    ended(id) {
      const job = peer.half.job(id);
      if (!job?.cause) return "none";
      return `${job.cause} ${job.outcome ? writeOutcome(job.outcome) : "-"}`;
    },
    since: (id) => peer.half.job(id)?.since ?? "none",
    overdue() {
      const late = peer.half.overdue;
      return late ? `${late.request} ${late.jobID ?? "-"} ${late.since}` : "none";
    },
    next_deadline: () => peer.half.nextDeadline ?? "none",
  };
}

// forward returns commands that are calls of the half with the same name.
function forward(peer, names) {
  return Object.fromEntries(names.split(" ").map((name) => [name, (...args) => peer.half[nameOf(name)](...args)]));
}

function pipes() {
  const address = env.CONFORM_ADDR;
  if (!address) return { commands: new Socket({ fd: 3 }), reply: (line) => writeAll(4, line) };
  const at = address.lastIndexOf(":");
  const stream = connect(Number(address.slice(at + 1)), address.slice(0, at));
  return { commands: stream, reply: (line) => stream.write(line) };
}

async function main(half) {
  const peer = { half: null, take: null, held: false };
  const table = { worker: workerCommands, coordinator: coordinatorCommands }[half]?.(peer);
  if (!table) throw new Error("usage: peer.js worker|coordinator");
  const { commands, reply } = pipes();
  const messages = lines(stdin);
  table.hold = () => void (peer.held = true);
  table.send = () => {};
  for await (const line of lines(commands)) {
    const [name, ...words] = line.toString().split(" ");
    if (name === "new") peer.held = false;
    if (name !== "receive" && !Object.hasOwn(table, name)) {
      reply("unsupported\n");
      continue;
    }
    let verdict = "ok";
    let result;
    try {
      if (name === "receive") {
        const { value } = await messages.next();
        const op = peer.half.receive(text(value));
        result = op ? writeOp(op) : "";
      } else {
        result = table[name](...words.map(argument));
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      verdict = "refused";
      result = error.kind;
    }
    let count = 0;
    const most = name === "send" ? 1 : peer.held ? 0 : Infinity;
    for (let message; count < most && (message = peer.take()) !== null; count++) writeAll(1, `${message}\n`);
    reply(`${verdict} ${count} ${result ?? ""}`.trimEnd() + "\n");
  }
  process.exit();
}

main(argv[2]);
