// Envelopes in plain JavaScript: reading, writing, the replay digest and validation. Section numbers are those of
// PROTOCOL.md. Integers of 64 bits are BigInt. An envelope and its operation are plain objects whose members have the
// names that they have on the wire; a payload is a Uint8Array. examples/peers/javascript uses this file and worker-half.js
// in Node.

export const maxPayload = 256 << 10;

// A ProtocolError has one of the kinds of section 8, with its data.
export class ProtocolError extends Error {
  constructor(kind, data = {}) {
    super(kind + Object.entries(data).map(([name, value]) => ` ${name}=${value}`).join(""));
    this.kind = kind;
    this.data = data;
  }
}

// A string in JavaScript may have unpaired surrogates, which UTF-8 cannot express.
const wellFormed = (s) => !/\p{Surrogate}/u.test(s);

// checkStrings throws if one of the strings cannot be sent.
export function checkStrings(...strings) {
  if (!strings.every(wellFormed)) throw new ProtocolError("InvalidValue", { cause: "an unpaired surrogate" });
}

// --- What is on the wire (sections 1 to 3) ---
// A kind of value has a function that reads it from a Reader and one that writes it as canonical JSON.

const u64 = {
  read: (r) => r.integer(0xffffffffffffffffn),
  write: (n) => n.toString(),
};
const u32 = {
  read: (r) => Number(r.integer(0xffffffffn)),
  write: u64.write,
};
const string = {
  read: (r) => r.string(),
  write(s) {
    checkStrings(s);
    return JSON.stringify(s); // which escapes exactly what section 3 says
  },
};
const optionalString = {
  optional: true,
  read: (r) => (r.take("null") ? null : r.string()),
  write: (s) => (s === null ? "null" : string.write(s)),
};
const sender = { ...optionalString, leftOut: true }; // written as absent, not as null
const bytes = {
  read: (r) => r.bytes(),
  write: (p) => `[${p.join(",")}]`,
};
const oneOf = (...names) => ({
  read: (r) => r.name(names),
  write: string.write,
});
const tagged = (tag, table) => ({
  read: (r) => r.tagged(tag, table),
  write: (value) => writeObject({ [tag]: string, ...table[value[tag]] }, value),
});

const outcomes = {
  Ok: { payload: bytes },
  Err: { code: string, message: string },
  Cancelled: { reason: string },
  Panicked: { message: string },
};
const state = oneOf("Created", "Queued", "Running", "CancelRequested", "Draining", "Finalizing", "Completed", "Failed");
const level = oneOf("Info", "Warn", "Error");

const outcome = tagged("status", outcomes);

const fromCoordinator = {
  SpawnJob: { job_id: u64, region_id: u64, task_id: u64, obligation_id: u64, payload: bytes },
  PollStatus: { job_id: u64 },
  CancelJob: { job_id: u64, reason: string },
  DrainJob: { job_id: u64 },
  FinalizeJob: { job_id: u64 },
  ShutdownWorker: { reason: string },
};
const fromWorker = {
  BootstrapReady: { worker_id: string },
  BootstrapFailed: { worker_id: string, reason: string },
  StatusSnapshot: { job_id: u64, state, detail: optionalString },
  JobCompleted: { job_id: u64, outcome },
  CancelAcknowledged: { job_id: u64 },
  DrainCompleted: { job_id: u64 },
  FinalizeCompleted: { job_id: u64 },
  ShutdownCompleted: {},
  Diagnostic: { level, category: string, message: string, metadata: optionalString },
};
const operation = tagged("type", { ...fromCoordinator, ...fromWorker });

const envelope = {
  version: u32,
  message_id: u64,
  seq_no: u64,
  decision_seq: u64,
  seed: u64,
  issued_at_turn: u64,
  worker_id: sender,
  replay_hash: u64,
  op: operation,
};

export const sentByCoordinator = (op) => Object.hasOwn(fromCoordinator, op.type);

// --- Writing ---

export const write = (e) => writeObject(envelope, e);
export const writeOp = (op) => operation.write(op);
export const writeOutcome = (value) => outcome.write(value);

function writeObject(shape, value) {
  const members = [];
  for (const [name, kind] of Object.entries(shape)) {
    if (kind.leftOut && value[name] === null) continue;
    members.push(`"${name}":${kind.write(value[name])}`);
  }
  return `{${members.join(",")}}`;
}

// seal returns an envelope with version and digest.
export function seal(header, workerID, op) {
  const e = { version: 1, ...header, worker_id: workerID, replay_hash: 0n, op };
  e.replay_hash = digest(e);
  return e;
}

// --- The replay digest (section 4) ---

const rotl = (n, k) => BigInt.asUintN(64, (n << k) | (n >> (64n - k)));

export function digest(e) {
  let h = BigInt.asUintN(64, e.message_id * 0x9e3779b185ebca87n + rotl(e.seq_no, 13n));
  h ^= rotl(e.decision_seq, 23n) ^ rotl(e.seed, 29n) ^ rotl(e.issued_at_turn, 47n);
  const utf8 = new TextEncoder();
  if (e.worker_id !== null) h = chain(h, 7, utf8.encode(e.worker_id));
  return chain(h, 5, utf8.encode(writeOp(e.op)));
}

// chain computes h = (rotl(h, k) ^ b) * 0x100000001B3 for each byte b, in two halves of 32 bits: with BigInt it would
// take most of the worker's time. The factor is 2^40 + 0x1B3.
function chain(h, k, bytes) {
  let high = Number(h >> 32n);
  let low = Number(h & 0xffffffffn);
  for (const b of bytes) {
    const rotated = (high << k) | (low >>> (32 - k));
    low = (((low << k) | (high >>> (32 - k))) ^ b) >>> 0;
    const product = low * 0x1b3; // below 2^41, so exact
    high = (Math.imul(rotated, 0x1b3) + (low << 8) + Math.floor(product / 2 ** 32)) >>> 0;
    low = product >>> 0;
  }
  return (BigInt(high) << 32n) | BigInt(low);
}

// --- Validation (section 5) ---

export function validate(e) {
  if (e.version !== 1) throw new ProtocolError("VersionMismatch", { expected: 1, actual: e.version });
  const expected = digest(e);
  if (e.replay_hash !== expected) throw new ProtocolError("ReplayHashMismatch", { expected, actual: e.replay_hash });
  if (sentByCoordinator(e.op)) {
    if (e.worker_id !== null) throw new ProtocolError("UnexpectedWorkerIdentity", { worker_id: e.worker_id });
  } else if (e.worker_id === null) {
    throw new ProtocolError("MissingWorkerIdentity");
  } else if ("worker_id" in e.op && e.op.worker_id !== e.worker_id) {
    throw new ProtocolError("WorkerIdentityMismatch", { expected: e.op.worker_id, actual: e.worker_id });
  }
  // read has refused a payload over the limit.
}

// decode reads and validates a message. One that is malformed may be of another version (section 14).
export function decode(source) {
  let e;
  try {
    e = read(source);
  } catch (error) {
    const version = error.kind === "Malformed" ? versionAlone(source) : 1;
    throw version === 1 ? error : new ProtocolError("VersionMismatch", { expected: 1, actual: version });
  }
  validate(e);
  return e;
}

// versionAlone returns the version of a text that is no envelope; 1 if it is no JSON object with one version that is a
// u32.
function versionAlone(source) {
  try {
    return read(source, { version: u32 }).version;
  } catch {
    return 1;
  }
}

// --- Reading (section 3): any JSON of the right meaning ---

// read reads an envelope without validating it.
export function read(source, shape = envelope) {
  const r = new Reader(source);
  r.space();
  const e = r.object(shape);
  r.space();
  if (r.at < source.length) r.fail("expected the end after the envelope");
  return e;
}

const maxDepth = 127;
const plainInteger = /(?:0|[1-9][0-9]*)(?![0-9.eE])/y;
const anyNumber = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

class Reader {
  at = 0;
  depth = 0;

  constructor(source) {
    this.source = source;
    if (!wellFormed(source)) this.fail("the message has an unpaired surrogate");
  }

  fail(cause, at = this.at) {
    const offset = new TextEncoder().encode(this.source.slice(0, at)).length;
    throw new ProtocolError("Malformed", { offset, cause });
  }

  space() {
    while (" \t\n\r".includes(this.source[this.at] ?? "end")) this.at++;
  }

  // take skips a token if it comes next, and reports whether it did.
  take(token) {
    if (!this.source.startsWith(token, this.at)) return false;
    this.at += token.length;
    return true;
  }

  expect(token) {
    if (!this.take(token)) this.fail(`expected ${token}`);
  }

  // match skips a pattern if it comes next, and returns what matched.
  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.source)?.[0];
    this.at += found?.length ?? 0;
    return found;
  }

  // items goes through an object or an array. When it yields, the reader is before an item.
  *items(open, close) {
    if (++this.depth > maxDepth) this.fail("nesting is too deep");
    this.expect(open);
    this.space();
    if (!this.take(close)) {
      do {
        this.space();
        yield;
        this.space();
      } while (this.take(","));
      this.expect(close);
    }
    this.depth--;
  }

  // names goes through an object and yields the name of each member. The reader is then before its value.
  *names() {
    for (const _ of this.items("{", "}")) {
      const name = this.string();
      this.space();
      this.expect(":");
      this.space();
      yield name;
    }
  }

  object(shape) {
    const start = this.at;
    const value = {};
    for (const name of this.names()) {
      if (!Object.hasOwn(shape, name)) {
        this.skip();
        continue;
      }
      if (Object.hasOwn(value, name)) this.fail(`the member ${name} occurs twice`);
      value[name] = shape[name].read(this);
    }
    for (const [name, kind] of Object.entries(shape)) {
      if (Object.hasOwn(value, name)) continue;
      if (!kind.optional) this.fail(`the member ${name} is missing`, start);
      value[name] = null;
    }
    return value;
  }

  // tagged reads an object whose shape depends on one of its members, which may be anywhere in it.
  tagged(tag, table) {
    const { at, depth } = this;
    let shape;
    for (const name of this.names()) {
      if (name === tag) {
        shape = table[this.name(Object.keys(table))];
        break;
      }
      this.skip();
    }
    Object.assign(this, { at, depth });
    if (!shape) this.fail(`the member ${tag} is missing`);
    return this.object({ [tag]: string, ...shape });
  }

  name(names) {
    const start = this.at;
    const name = this.string();
    if (!names.includes(name)) this.fail("unknown name", start);
    return name;
  }

  string() {
    const start = this.at;
    this.expect('"');
    while (!this.take('"')) {
      const c = this.source.charCodeAt(this.at);
      if (!(c >= 0x20)) this.fail("a control character in a string, or no end of it");
      this.at += c === 0x5c ? 2 : 1;
    }
    let value;
    try {
      value = JSON.parse(this.source.slice(start, this.at));
    } catch {
      this.fail("an invalid escape", start);
    }
    if (!wellFormed(value)) this.fail("an unpaired surrogate", start);
    return value;
  }

  integer(limit) {
    const start = this.at;
    const digits = this.match(plainInteger) ?? this.fail("expected a plain integer");
    const n = digits.length > 20 ? limit + 1n : BigInt(digits);
    if (n > limit) this.fail("the number is out of range", start);
    return n;
  }

  bytes() {
    const payload = [];
    for (const _ of this.items("[", "]")) {
      if (payload.length === maxPayload) this.tooLarge();
      const start = this.at;
      const b = Number(this.match(plainInteger) ?? this.fail("expected a plain integer"));
      if (b > 255) this.fail("the number is out of range", start);
      payload.push(b);
    }
    return Uint8Array.from(payload);
  }

  // tooLarge refuses a payload without reading the rest of it. Its commas show its size.
  tooLarge() {
    let size = maxPayload + 1;
    for (let at = this.at; at < this.source.length && this.source[at] !== "]"; at++) {
      if (this.source[at] === ",") size++;
    }
    throw new ProtocolError("PayloadTooLarge", { size, max: maxPayload });
  }

  // skip skips any value.
  skip() {
    switch (this.source[this.at]) {
      case "{":
        for (const _ of this.names()) this.skip();
        return;
      case "[":
        for (const _ of this.items("[", "]")) this.skip();
        return;
      case '"':
        this.string();
        return;
    }
    if (this.take("null") || this.take("true") || this.take("false")) return;
    this.match(anyNumber) ?? this.fail("expected a value"); // of any size
  }
}
