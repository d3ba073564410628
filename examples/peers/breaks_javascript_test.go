package peers

import (
	"testing"

	"github.com/workerchannel/workerchannel/examples/internal/conform"
)

const (
	envelopeJS = "examples/browser/web/envelope.js"
	workerJS   = "examples/browser/web/worker-half.js"
)

func TestMistakesInJavaScriptWorkerAreFound(t *testing.T) {
	testMistakes(t, "javascript", conform.WorkerHalf, append(javascriptReading(conform.WorkerHalf), []mistake{
		{"wire/announce", "digest without the worker id", envelopeJS, "if (e.worker_id !== null) h = chain", "if (false) h = chain"},
		{"wire/announce", "digest of the envelope", envelopeJS, "utf8.encode(writeOp(e.op))", "utf8.encode(write(e))"},
		{"wire/announce", "digest in signed halves", envelopeJS, "Math.floor(product / 2 ** 32)) >>> 0;", "Math.floor(product / 2 ** 32)) >> 1;"},
		{"wire/escapes", "digest of UTF-16", envelopeJS, "utf8.encode(writeOp(e.op))", "Buffer.from(writeOp(e.op), 'latin1')"},
		{"wire/announce", "numbers from 0", workerJS, "const n = this.#sent + 1n;", "const n = this.#sent;"},
		{"wire/numbers", "every message has the first number", workerJS, "this.#sent = n;", ""},
		{"wire/operations", "an absent detail is left out", envelopeJS, "if (kind.leftOut && value", "if (kind.optional && value"},
		{"wire/operations", "a payload is an object", envelopeJS, "write: (p) => `[${p.join(\",\")}]`,", "write: (p) => JSON.stringify(p),"},
		{"wire/escapes", "slashes are escaped", envelopeJS, "return JSON.stringify(s); //", "return JSON.stringify(s).replaceAll('/', '\\\\/'); //"},
		{"wire/escapes", "U+2028 is escaped", envelopeJS, "return JSON.stringify(s); //", "return JSON.stringify(s).replaceAll('\\u2028', '\\\\u2028'); //"},
		{"wire/escapes", "angle brackets are escaped", envelopeJS, "return JSON.stringify(s); //", "return JSON.stringify(s).replaceAll('<', '\\\\u003c'); //"},
		{"wire/empty", "an empty worker id is absent", envelopeJS, "kind.leftOut && value[name] === null", "kind.leftOut && !value[name]"},
		{"wire/empty-optional", "an empty detail is null", envelopeJS, `write: (s) => (s === null ? "null"`, `write: (s) => (!s ? "null"`},
		{"wire/cannot-be-sent", "surrogates are sent", envelopeJS, "const wellFormed = (s) => !", "const wellFormed = (s) => true || !"},
		{"payload/largest", "a payload of any size is sent", workerJS, "if (size > maxPayload)", "if (false)"},
		{"job/id-again", "a job spawned again starts again", workerJS, `if (this.has(id)) throw new ProtocolError("Dup`, `if (false) throw new ProtocolError("Dup`},
		{"job/many", "job ids are doubles", workerJS, "const id = op.job_id;", "const id = op.job_id && BigInt(Number(op.job_id));"},
		{"job/ended", "an ended job is not forgotten", workerJS, "    this.#jobs.delete(id);\n  }\n\n  acknowledge", "  }\n\n  acknowledge"},
		{"job/start-twice", "a running job is started", workerJS, `start: { from: ["Queued"]`, `start: { from: ["Queued", "Running"]`},
		{"poll/others", "a draining job is reported", workerJS, `const reportable = ["Queued", "Running"];`, `const reportable = ["Queued", "Running", "Draining"];`},
		{"poll/others", "an ended job is reported", workerJS, "    this.#jobs.delete(id);\n  }\n\n  acknowledge", "  }\n\n  acknowledge"},
		{"session/announce", "a poll is answered before the announcement", workerJS, "if (this.ready && reportable", "if (reportable"},
		{"cancel/no-outcome", "a job completes after its cancel was acknowledged", workerJS, `"CancelRequested"];`, `"CancelRequested", "Acknowledged"];`},
		{"cancel/ended-first", "an outcome does not overtake a cancel", workerJS, `"Running", "CancelRequested"];`, `"Running"];`},
		{"cancel/answer-once", "a cancel is acknowledged twice", workerJS, `acknowledgeCancel: { from: ["CancelRequested"]`, `acknowledgeCancel: { from: ["CancelRequested", "Acknowledged"]`},
		{"cancel/answer-unasked", "a job is drained without being asked", workerJS, `completeDrain: { from: ["Draining"]`, `completeDrain: { from: ["Draining", "Acknowledged"]`},
		{"cancel/request-out-of-order", "a drain is taken before the acknowledgement", workerJS, `drain: { from: ["Acknowledged"]`, `drain: { from: ["Acknowledged", "CancelRequested"]`},
		{"cancel/crossed", "a cancel of an ended job is an error", workerJS, "if (this.has(id)) this.#step(id, steps.cancel);", "this.#step(id, steps.cancel);"},
		{"shutdown/no-drain", "a drain is waited for during shutdown", workerJS, "if (waiting.includes(state)) this.#jobs.delete(jobID);", ";"},
		{"shutdown/last-word", "an answer during shutdown is not the last", workerJS, "|| (this.shutdownRequested && waiting", "|| (false && waiting"},
		{"session/closed", "a closed worker goes on", workerJS, `this.#phase = "closed";`, ""},
		{"session/fail", "fail is refused before the announcement", workerJS, "    checkStrings(this.#id, reason);\n", "    checkStrings(this.#id, reason);\n    this.#needReady();\n"},
		{"numbers/gaps", "a gap in the numbers is an error", workerJS, "if (seq_no <= this.#lastSeen) {", "if (seq_no !== this.#lastSeen + 1n) {"},
		{"numbers/gaps", "numbers are compared as doubles", workerJS, "if (seq_no <= this.#lastSeen) {", "if (Number(seq_no) <= Number(this.#lastSeen)) {"},
		{"numbers/stale", "the same number is taken again", workerJS, "if (seq_no <= this.#lastSeen) {", "if (seq_no < this.#lastSeen) {"},
		{"numbers/own-refused", "a refused call uses a number", workerJS, "  #unknown(id) {\n", "  #unknown(id) {\n    this.#sent++;\n"},
		{"session/direction", "a worker obeys a worker", workerJS, "if (!sentByCoordinator(op)) throw", "if (false) throw"},
		{"reading/raw", "lines end at U+2028", "peer.js", "const { value } = await messages.next();", "const value = Buffer.from((await messages.next()).value.toString('latin1').split('\\u00e2\\u0080\\u00a8')[0], 'latin1');"},
	}...))
}

// javascriptReading are mistakes of the reader, which both halves share.
func javascriptReading(half string) []mistake {
	integers := mistake{"wire/integers", "integers are doubles", envelopeJS, "? limit + 1n : BigInt(digits)", "? limit + 1n : BigInt(Number(digits))"}
	if half == conform.CoordinatorHalf {
		integers.check = "wire/read"
	}
	return []mistake{
		integers,
		{"digest/damaged", "the digest is not checked", envelopeJS, "if (e.replay_hash !== expected) throw", "if (false) throw"},
		{"validate/order", "the version is not checked", envelopeJS, "if (e.version !== 1) throw", "if (false) throw"},
		{"validate/order", "the identity is not checked", envelopeJS, `"worker_id" in e.op && e.op.worker_id !== e.worker_id`, `false`},
		{"reading/order", "the type comes first", envelopeJS, "      this.skip();\n    }\n    Object.assign", "      break;\n    }\n    Object.assign"},
		{"reading/white-space", "only spaces are white space", envelopeJS, `" \t\n\r".includes`, `" ".includes`},
		{"reading/other-version", "the version of a part is taken", envelopeJS, "const version = error.kind === \"Malformed\" ? versionAlone(source) : 1;", "const version = +(/\"version\"\\s*:\\s*(\\d+)/.exec(source)?.[1] ?? 1);"},
		{"reading/unknown-members", "an unknown member is refused", envelopeJS, "        this.skip();\n        continue;", "        this.fail(\"unknown member\");"},
		{"reading/unknown-numbers", "a number beyond every range is refused", envelopeJS, `this.match(anyNumber) ?? this.fail("expected a value")`, `Number.isFinite(Number(this.match(anyNumber) ?? "x")) || this.fail("expected a value")`},
		{"reading/unknown-names!", "inherited names are known", envelopeJS, "if (!Object.hasOwn(shape, name)) {", "if (!(name in shape)) {"},
		{"reading/around", "a byte-order mark is skipped", "stdio.js", "ignoreBOM: true", "ignoreBOM: false"},
		{"reading/around", "what follows the object is ignored", envelopeJS, "if (r.at < source.length) r.fail", "if (false) r.fail"},
		{"reading/utf8", "ill-formed UTF-8 is replaced", "stdio.js", "if (!isUtf8(bytes)) throw", "if (false) throw"},
		{"reading/surrogates", "unpaired surrogates are taken", envelopeJS, `if (!wellFormed(value)) this.fail("an unpaired surrogate", start);`, ""},
		{"reading/duplicates", "a member may occur twice", envelopeJS, "if (Object.hasOwn(value, name)) this.fail", "if (false) this.fail"},
		{"reading/number-form!", "1.0 is 1", envelopeJS, "(?![0-9.eE])/y;", "(?![0-9eE])(?:\\.0)?/y;"},
		{"reading/number-range", "integers have any size", envelopeJS, "if (n > limit) this.fail", "if (false) this.fail"},
		{"reading/number-kind", "a string is an integer", envelopeJS, "    const digits = this.match", "    const quoted = this.take('\"');\n    if (quoted) { const d = this.match(plainInteger) ?? this.fail('x'); this.expect('\"'); return BigInt(d); }\n    const digits = this.match"},
		{"reading/payload", "an element may be 256", envelopeJS, "if (b > 255) this.fail", "if (b > 256) this.fail"},
		{"reading/payload-limit", "a payload may have any size", envelopeJS, "if (payload.length === maxPayload) this.tooLarge();", ""},
		{"reading/depth-refused", "nesting may be a little deeper", envelopeJS, "const maxDepth = 127;", "const maxDepth = 128;"},
		{"reading/depth", "nesting is bounded too early", envelopeJS, "const maxDepth = 127;", "const maxDepth = 126;"},
		{"reading/missing", "a missing member is null", envelopeJS, "if (!kind.optional) this.fail(`the member ${name} is missing`, start);", "if (name === 'seed') { value[name] = 0n; continue; } if (!kind.optional) this.fail(`the member ${name} is missing`, start);"},
		{"reading/names", "an unknown type is compared without case", envelopeJS, "shape = table[this.name(Object.keys(table))];", "{ const t = this.string(); shape = table[Object.keys(table).find((k) => k.toLowerCase() === t.toLowerCase())]; }"},
	}
}

func TestMistakesInJavaScriptCoordinatorAreFound(t *testing.T) {
	testMistakes(t, "javascript", conform.CoordinatorHalf, append(javascriptReading(conform.CoordinatorHalf), []mistake{
		{"wire/first", "null for an absent worker id", envelopeJS, "if (kind.leftOut && value[name] === null) continue;", ""},
		{"wire/first", "numbers from 0", "coordinator.js", "const n = ++this.#sent;", "const n = this.#sent++;"},
		{"reading/optional", "an absent detail is an error", envelopeJS, "if (!kind.optional) this.fail", "if (!kind.leftOut) this.fail"},
		{"numbers/replaced", "the numbers begin again with a new worker", "coordinator.js", "    this.#worker = sender;\n", "    this.#worker = sender;\n    this.#sent = 0n;\n"},
		{"numbers/gaps", "a gap in the numbers is an error", "coordinator.js", "if (seqNo > this.#lastSeen) return;", "if (seqNo === this.#lastSeen + 1n) return;"},
		{"numbers/gaps", "numbers are compared as doubles", "coordinator.js", "if (seqNo > this.#lastSeen) return;", "if (Number(seqNo) > Number(this.#lastSeen)) return;"},
		{"numbers/stale", "the same number is taken again", "coordinator.js", "if (seqNo > this.#lastSeen) return;", "if (seqNo >= this.#lastSeen) return;"},
		{"numbers/zero", "a bootstrap with number 0 is taken", "coordinator.js", "if (seqNo === 0n) throw", "if (seqNo === 0) throw"},
		{"numbers/echo", "an echo moves the high-water mark", "coordinator.js", "if (sentByCoordinator(op)) throw", "if (sentByCoordinator(op)) this.#lastSeen = seq_no;\n    if (sentByCoordinator(op)) throw"},
		{"session/replaced", "jobs survive their worker", "coordinator.js", `if (this.#worker !== null) this.#endSession("Replaced");`, "if (this.#worker !== null) this.#remember(this.#worker);"},
		{"session/bootstrap", "a repeated announcement begins a session again", "coordinator.js", "        this.#ready = true;\n", "        if (this.#ready) { this.#endSession(\"Replaced\"); this.#worker = worker_id; }\n        this.#ready = true;\n"},
		{"session/late-bootstrap", "ended workers are forgotten", "coordinator.js", "if (this.#endedWorkers.has(sender)) throw", "if (false) throw"},
		{"session/foreign", "a message of any worker is taken", "coordinator.js", "if (!bootstrap) throw", "if (false) throw"},
		{"session/failed", "BootstrapFailed is not an error", "coordinator.js", `        throw new ProtocolError("BootstrapFailed"`, `        if (false) throw new ProtocolError("BootstrapFailed"`},
		{"session/shutdown-completed", "an unasked ShutdownCompleted is ignored", "coordinator.js", `        this.#endSession("Shutdown");`, `        if (this.#shutdown) this.#endSession("Shutdown");`},
		{"session/outbox", "messages to a lost worker go to its successor", "coordinator.js", "    this.#outbox = [];\n    if (this.#worker", "    if (this.#worker"},
		{"job/id-again", "the id of an ended job is taken", "coordinator.js", `if (this.#jobs.has(id)) throw`, `if (this.#jobs.has(id) && !ended.includes(this.job(id).state)) throw`},
		{"job/many", "job ids are doubles", "coordinator.js", "this.#jobs.set(id, job);", "this.#jobs.set(BigInt(Number(id)), job);"},
		{"job/snapshots", "a running job becomes queued again", "coordinator.js", `snapshotQueued: { from: ["Queued"]`, `snapshotQueued: { from: ["Queued", "Running"]`},
		{"job/snapshot-states", "the job is looked for before the state", "coordinator.js", "    if (ended.includes(state)) throw new ProtocolError(\"Term", "    this.#find(id);\n    if (ended.includes(state)) throw new ProtocolError(\"Term"},
		{"job/reap", "jobs are sorted as text", "coordinator.js", "sort((a, b) => compare(a.id, b.id));", "sort((a, b) => compare(String(a.id), String(b.id)));"},
		{"poll/states", "a draining job is polled", "coordinator.js", `poll: { from: ["Queued", "Running"]`, `poll: { from: ["Queued", "Running", "Draining"]`},
		{"cancel/snapshot-crossed", "a snapshot that crosses a cancel is an error", "coordinator.js", `ignored: ["Running", "CancelRequested"]`, `ignored: ["Running"]`},
		{"cancel/completion-crossed", "a completion that crosses a cancel is an error", "coordinator.js", `completed: { from: ["Queued", "Running", "CancelRequested"]`, `completed: { from: ["Queued", "Running"]`},
		{"cancel/answer-unasked", "FinalizeCompleted skips the handshake", "coordinator.js", `finalized: { from: ["Finalizing"]`, `finalized: { from: ["Finalizing", "CancelRequested", "Draining"]`},
		{"shutdown/frozen", "the handshake goes on during shutdown", "coordinator.js", "if (this.#shutdown) return; // which", "if (false) return; // which"},
		{"shutdown/announced-again", "an announcement undoes a shutdown", "coordinator.js", "        this.#ready = true;\n", "        this.#ready = true;\n        this.#shutdown = false;\n"},
		{"shutdown/outbox", "messages follow before a shutdown", "coordinator.js", "    this.#outbox = [];\n    this.#send", "    this.#send"},
		{"region/cancel", "a region is cancelled in the order of spawning", "coordinator.js", "const jobs = this.jobs.filter((job) => job.regionID", "const jobs = [...this.#jobs.values()].filter((job) => job.regionID"},
		{"limits/taken", "a clock starts with the call", "coordinator.js", "    this.#send({ type: \"CancelJob\", job_id: job.id, reason }, job);\n", "    this.#send({ type: \"CancelJob\", job_id: job.id, reason }, job);\n    job.taken = this.#turn;\n"},
	}...))
}
