// Starts worker.wasm. Errors are thrown, so that the page gets an error event.

import "./wasm_exec.js";

const fail = (error) => setTimeout(() => { throw error; });

const go = new Go();
go.exit = (code) => {
  if (code !== 0) fail(new Error(`the Go program ended with code ${code}`));
};
WebAssembly.instantiateStreaming(fetch("worker.wasm"), go.importObject)
  .then(({ instance }) => go.run(instance))
  .then(close, fail);
