// Package peers has peers of the protocol in several languages, each written from PROTOCOL.md, and their tests. Each has
// the two halves as modules without I/O, to be copied, and a program for examples/conform:
//
//   - python: both halves in Python 3.10 or later, standard library only
//   - javascript: both halves for Node and browsers. The envelopes and the worker are those of the page in
//     examples/browser/web
//   - c: the worker in C99, without dependencies
//   - go: the core of this repository behind the commands of examples/conform
//
// The page docs/writing-a-peer.md says how to write another. The files rpc.py and rpc.js are workers that answer the typed
// calls of examples/driver/rpc, as docs/rpc.md specifies them.
package peers
