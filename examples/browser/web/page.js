// Starts page.wasm. An error is shown on the page.

import "./wasm_exec.js";

const say = (text) => { document.getElementById("status").textContent = text; };
const fail = (error) => {
  say(`The page does not work: ${error.message}`);
  throw error;
};

say("Loading the program of this page…");

const go = new Go();
WebAssembly.instantiateStreaming(fetch("page.wasm"), go.importObject)
  .then(({ instance }) => go.run(instance))
  .then(() => fail(new Error("its program has ended")), fail);
