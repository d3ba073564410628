// Renders tiles in a Web Worker, in plain JavaScript: the same as package worker in Go.

import { Tile } from "./mandelbrot.js";
import { WorkerHalf } from "./worker-half.js";

// How much of a tile is rendered before the worker looks for messages again.
const rowsPerSlice = 16;

// Every instance needs an id of its own, so that no message of another is taken for one of its.
const id = `js-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
const seed = BigInt(new URLSearchParams(location.search).get("seed"));

const half = new WorkerHalf(id, seed, (text) => postMessage(text));
let queue = []; // jobs, in the order in which they came
let awake = false; // a slice is due

// A message channel calls slice as soon as messages that have already come are handled, where
// setTimeout would wait for milliseconds.
const channel = new MessageChannel();
channel.port1.onmessage = slice;

function wake() {
  if (awake || (queue.length === 0 && !half.shutdownRequested)) return;
  awake = true;
  channel.port2.postMessage(null);
}

// receive does what a message of the coordinator asks.
function receive(text) {
  half.advanceTurn();
  const op = half.receive(text);
  const jobID = op?.job_id;
  switch (op?.type) {
    case "SpawnJob":
      spawn(jobID, op.payload);
      break;
    case "CancelJob":
      if (!half.has(jobID)) break; // it ended while the request travelled
      queue = queue.filter((job) => job.id !== jobID);
      half.acknowledgeCancel(jobID);
      break;
    case "DrainJob":
      half.completeDrain(jobID); // nothing is under way between two slices
      break;
    case "FinalizeJob":
      half.completeFinalize(jobID);
      break;
    case "ShutdownWorker":
      queue = queue.filter((job) => job.row > 0); // what has begun is finished
      break;
  }
  wake();
}

function spawn(jobID, payload) {
  try {
    queue.push({ id: jobID, tile: new Tile(payload), row: 0 });
  } catch (error) {
    half.complete(jobID, { status: "Err", code: "bad_tile", message: error.message });
  }
}

// slice goes on with the oldest job, or stops if the worker is asked to and has none.
function slice() {
  awake = false;
  if (queue.length > 0) {
    render(queue[0]);
    wake();
  } else if (half.shutdownRequested) {
    half.completeShutdown();
    close();
  }
}

function render(job) {
  const { id, tile } = job;
  if (job.row === 0) half.start(id);
  for (const end = Math.min(job.row + rowsPerSlice, tile.size); job.row < end; job.row++) tile.renderRow(job.row);
  if (job.row < tile.size) {
    half.report(id, `${job.row} of ${tile.size} rows`);
    return;
  }
  queue.shift();
  half.complete(id, { status: "Ok", payload: tile.values });
}

onmessage = ({ data }) => {
  try {
    receive(data);
  } catch (error) {
    half.diagnose("Error", "protocol", error.message);
  }
};
half.announce();
