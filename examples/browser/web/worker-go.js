// Starts worker.wasm. Errors are thrown, so that the page gets an error event.

import "./wasm_exec.js";

const fail = (error) => setTimeout(() => { throw error; });

// Messages that come before the program runs would be lost.
const early = [];
const keep = (event) => early.push(event);
addEventListener("message", keep);

const go = new Go();
go.exit = (code) => {
  if (code !== 0) fail(new Error(`the Go program ended with code ${code}`));
};
WebAssembly.instantiateStreaming(fetch("worker.wasm"), go.importObject)
  .then(({ instance }) => {
    const running = go.run(instance); // it sets onmessage before it waits
    removeEventListener("message", keep);
    for (const event of early) onmessage?.(event);
    return running;
  })
  .then(close, fail);
