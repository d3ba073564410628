// Starts page.wasm. An error is shown on the page.

import "./wasm_exec.js";

const fail = (error) => {
  document.getElementById("status").textContent = `The page does not work: ${error.message}`;
  throw error;
};

const go = new Go();
WebAssembly.instantiateStreaming(fetch("page.wasm"), go.importObject)
  .then(({ instance }) => go.run(instance))
  .then(() => fail(new Error("its program has ended")), fail);
