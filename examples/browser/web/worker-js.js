// Renders tiles in a Web Worker, in plain JavaScript, as the program worker does in Go.

import { Tile } from "./mandelbrot.js";
import { WorkerHalf } from "./worker-half.js";

// The rows of a tile that are rendered before the worker receives messages again.
const rowsPerSlice = 16;

// Every instance needs a new id, so that messages of another are not mistaken for its own.
const id = `js-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
const seed = BigInt(new URLSearchParams(location.search).get("seed"));

const half = new WorkerHalf(id, seed, (message) => postMessage(message));
let queue = []; // jobs, in the order in which they arrived
let awake = false; // a slice is due

// A message channel calls slice when the messages that have already arrived are handled; setTimeout would wait for some
// milliseconds.
const channel = new MessageChannel();
channel.port1.onmessage = slice;

function wake() {
  if (awake || (queue.length === 0 && !half.shutdownRequested)) return;
  awake = true;
  channel.port2.postMessage(null);
}

// receive does what a message of the coordinator asks for.
function receive(message) {
  half.advanceTurn();
  const op = half.receive(message);
  const jobID = op?.job_id;
  switch (op?.type) {
    case "SpawnJob":
      queue.push({ id: jobID, payload: op.payload, tile: null, row: 0 });
      break;
    case "CancelJob":
      if (!half.has(jobID)) break; // it has ended while the request travelled
      queue = queue.filter((job) => job.id !== jobID);
      half.acknowledgeCancel(jobID);
      break;
    case "DrainJob":
      half.completeDrain(jobID); // between two slices nothing is under way
      break;
    case "FinalizeJob":
      half.completeFinalize(jobID);
      break;
    case "ShutdownWorker":
      queue = queue.filter((job) => job.row > 0); // a tile that has been begun is finished
      break;
  }
  wake();
}

// slice renders a part of the oldest job, or stops the worker if it has been asked to stop and has no job.
function slice() {
  awake = false;
  if (queue.length > 0) {
    render(queue[0]);
    wake();
  } else if (half.shutdownRequested) {
    half.completeShutdown();
    end();
  }
}

function render(job) {
  if (job.tile === null && !begin(job)) return;
  const { id, tile } = job;
  for (const end = Math.min(job.row + rowsPerSlice, tile.size); job.row < end; job.row++) tile.renderRow(job.row);
  if (job.row < tile.size) {
    half.report(id, `${job.row} of ${tile.size} rows`);
    return;
  }
  queue.shift();
  half.complete(id, { status: "Ok", payload: tile.values });
}

// begin begins the oldest job, and says so before anything else is said about it: a job of which the host has not heard
// may be run elsewhere once its cancel is acknowledged (PROTOCOL section 13).
function begin(job) {
  try {
    job.tile = new Tile(job.payload);
  } catch (error) {
    queue.shift();
    half.complete(job.id, { status: "Err", code: "bad_tile", message: error.message });
    return false;
  }
  half.start(job.id);
  return true;
}

// A last message that is null says that no more come.
function end() {
  postMessage(null);
  close();
}

onmessage = ({ data }) => {
  try {
    receive(data);
  } catch (error) { // such as a refused message
    if (!half.closed) half.fail(error.message);
    end();
  }
};
half.announce();
half.sayCapacity(1); // there is one thread
