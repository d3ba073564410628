"""Envelopes: reading, writing, the replay digest and validation.

Written from PROTOCOL.md, whose sections are cited. An envelope and its operation are dicts whose members have the
names and the order that they have on the wire. An absent worker_id, detail or metadata is None, a payload is bytes.
"""

import json
import re

MAX_PAYLOAD = 256 << 10
MAX_DEPTH = 127
U64 = (1 << 64) - 1
U32 = (1 << 32) - 1


class Refused(Exception):
    """A refused call or message. kind is one of section 8, Malformed or InvalidValue; data is what goes with it."""

    def __init__(self, kind, **data):
        super().__init__(" ".join([kind] + [f"{name}={value!r}" for name, value in data.items()]))
        self.kind = kind
        self.data = data


# --- The members of each operation, in wire order (section 2), and the kind of each ---

OUTCOMES = {
    "Ok": {"payload": "bytes"},
    "Err": {"code": "string", "message": "string"},
    "Cancelled": {"reason": "string"},
    "Panicked": {"message": "string"},
}
FROM_COORDINATOR = {
    "SpawnJob": {"job_id": "u64", "region_id": "u64", "task_id": "u64", "obligation_id": "u64", "payload": "bytes"},
    "PollStatus": {"job_id": "u64"},
    "CancelJob": {"job_id": "u64", "reason": "string"},
    "DrainJob": {"job_id": "u64"},
    "FinalizeJob": {"job_id": "u64"},
    "ShutdownWorker": {"reason": "string"},
}
FROM_WORKER = {
    "BootstrapReady": {"worker_id": "string"},
    "BootstrapFailed": {"worker_id": "string", "reason": "string"},
    "StatusSnapshot": {"job_id": "u64", "state": "state", "detail": "optional"},
    "JobCompleted": {"job_id": "u64", "outcome": "outcome"},
    "CancelAcknowledged": {"job_id": "u64"},
    "DrainCompleted": {"job_id": "u64"},
    "FinalizeCompleted": {"job_id": "u64"},
    "ShutdownCompleted": {},
    "Diagnostic": {"level": "level", "category": "string", "message": "string", "metadata": "optional"},
}
OPERATIONS = {**FROM_COORDINATOR, **FROM_WORKER}
ENVELOPE = {
    "version": "u32", "message_id": "u64", "seq_no": "u64", "decision_seq": "u64", "seed": "u64",
    "issued_at_turn": "u64", "worker_id": "optional", "replay_hash": "u64", "op": "operation",
}
STATES = ["Created", "Queued", "Running", "CancelRequested", "Draining", "Finalizing", "Completed", "Failed"]
LEVELS = ["Info", "Warn", "Error"]


# --- Writing (section 3) ---

def check_strings(*values):
    """Refuses strings that UTF-8 cannot express: Python's may have surrogates."""
    for value in values:
        if isinstance(value, str) and has_surrogate(value):
            raise Refused("InvalidValue", cause="a surrogate")


has_surrogate = re.compile("[\ud800-\udfff]").search


def write_json(value):
    """Returns compact JSON. The members of a dict are written in their order."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=list)  # list: payloads are bytes


def in_order(value, tag, shapes):
    """Returns the members of an operation or an outcome in wire order."""
    return {name: value[name] for name in (tag, *shapes[value[tag]])}


def write_outcome(outcome):
    """Returns the canonical JSON of an outcome."""
    return write_json(in_order(outcome, "status", OUTCOMES))


def write_op(op):
    """Returns the canonical JSON of an operation."""
    op = in_order(op, "type", OPERATIONS)
    if "outcome" in op:
        op["outcome"] = in_order(op["outcome"], "status", OUTCOMES)
    return write_json(op)


def write(envelope):
    """Returns the canonical text of an envelope, as bytes."""
    members = {name: envelope[name] for name in ENVELOPE if name != "op"}
    if members["worker_id"] is None:  # absent, not null
        del members["worker_id"]
    return (write_json(members)[:-1] + ',"op":' + write_op(envelope["op"]) + "}").encode()


# --- The replay digest (section 4) ---

def rotl(n, k):
    return (n << k | n >> (64 - k)) & U64


def digest(e):
    h = (e["message_id"] * 0x9E3779B185EBCA87 + rotl(e["seq_no"], 13)) & U64
    h ^= rotl(e["decision_seq"], 23) ^ rotl(e["seed"], 29) ^ rotl(e["issued_at_turn"], 47)
    for b in (e["worker_id"] or "").encode():
        h = (rotl(h, 7) ^ b) * 0x100000001B3 & U64
    for b in write_op(e["op"]).encode():
        h = ((h << 5 & U64 | h >> 59) ^ b) * 0x100000001B3 & U64
    return h


def seal(envelope):
    """Returns the envelope with version and digest."""
    e = {**envelope, "version": 1}
    e["replay_hash"] = digest(e)
    return e


# --- Validation (section 5) ---

def validate(e):
    if e["version"] != 1:
        raise Refused("VersionMismatch", expected=1, actual=e["version"])
    expected = digest(e)
    if e["replay_hash"] != expected:
        raise Refused("ReplayHashMismatch", expected=expected, actual=e["replay_hash"])
    worker, op = e["worker_id"], e["op"]
    if op["type"] in FROM_COORDINATOR:
        if worker is not None:
            raise Refused("UnexpectedWorkerIdentity", worker_id=worker)
    elif worker is None:
        raise Refused("MissingWorkerIdentity")
    elif op.get("worker_id", worker) != worker:
        raise Refused("WorkerIdentityMismatch", expected=op["worker_id"], actual=worker)
    # read has refused a payload over the limit


# --- Reading (section 3) ---

class Object(list):
    """A JSON object as a list of (name, value): a dict would forget that a member occurred twice."""


class Number(str):
    """A number that is not a plain integer of at most 20 digits. Only an unknown member may have it."""


def integer(text):
    return int(text) if text[0] != "-" and len(text) <= 20 else Number(text)


def no_constant(text):
    raise ValueError(f"{text} is not JSON")


parse = json.JSONDecoder(object_pairs_hook=Object, parse_int=integer, parse_float=Number, parse_constant=no_constant).decode


def malformed(cause):
    raise Refused("Malformed", cause=cause)


def read(data, shape=ENVELOPE):
    """Reads an envelope from bytes without validating it."""
    try:
        value = parse(data.decode())
    except (ValueError, RecursionError) as error:  # also of decode: UnicodeDecodeError is a ValueError
        malformed(str(error))
    check_everything(value)
    return read_object(value, shape)


def check_everything(value):
    """Checks what holds for ignored members, too: nesting, and no unpaired surrogate."""
    rest = [(value, 1)]
    while rest:
        value, depth = rest.pop()
        if isinstance(value, str):
            if has_surrogate(value):
                malformed("an unpaired surrogate")
        elif isinstance(value, list):
            if depth > MAX_DEPTH:
                malformed("nesting is too deep")
            inner = (part for member in value for part in member) if isinstance(value, Object) else value
            rest += [(v, depth + 1) for v in inner if isinstance(v, (str, list))]


def read_object(value, shape, tag=None):
    """Returns the known members of an object in wire order; tag is the (name, value) of its first."""
    found = {}
    for name, member in value if isinstance(value, Object) else malformed("expected an object"):
        if name in shape or tag and name == tag[0]:
            if name in found:
                malformed(f"the member {name} occurs twice")
            found[name] = member
    result = dict([tag]) if tag else {}
    for name, kind in shape.items():
        if name not in found and kind != "optional":
            malformed(f"the member {name} is missing")
        result[name] = READ[kind](found.get(name))
    return result


def read_tagged(tag, shapes):
    """Returns a reader of objects whose shape depends on one of their members."""
    def read_value(value):
        if not isinstance(value, Object):
            malformed("expected an object")
        names = [member for name, member in value if name == tag]
        if len(names) != 1 or type(names[0]) is not str or names[0] not in shapes:
            malformed(f"expected one {tag} that is known")
        return read_object(value, shapes[names[0]], (tag, names[0]))
    return read_value


def read_integer(limit):
    def read_value(value):
        if type(value) is not int or value > limit:  # True is an int, but of another type
            malformed(f"expected an integer up to {limit}")
        return value
    return read_value


def read_string(value):
    if type(value) is not str:
        malformed("expected a string")
    return value


def read_name(names):
    return lambda value: value if type(value) is str and value in names else malformed("unknown name")


def read_bytes(value):
    if type(value) is not list:
        malformed("expected an array")
    if len(value) > MAX_PAYLOAD:
        raise Refused("PayloadTooLarge", size=len(value), max=MAX_PAYLOAD)
    if not all(type(b) is int and b < 256 for b in value):
        malformed("expected integers up to 255")
    return bytes(value)


READ = {
    "u64": read_integer(U64),
    "u32": read_integer(U32),
    "string": read_string,
    "optional": lambda value: None if value is None else read_string(value),
    "bytes": read_bytes,
    "state": read_name(STATES),
    "level": read_name(LEVELS),
    "outcome": read_tagged("status", OUTCOMES),
    "operation": read_tagged("type", OPERATIONS),
}


def decode(data):
    """Reads and validates a message. One that is malformed may be of another version (section 14)."""
    try:
        e = read(data)
    except Refused as refused:
        if refused.kind == "Malformed" and (version := version_alone(data)) != 1:
            raise Refused("VersionMismatch", expected=1, actual=version) from None
        raise
    validate(e)
    return e


def version_alone(data):
    """Returns the version of a text that is no envelope; 1 if it is no JSON object with one version that is a u32."""
    try:
        return read(data, {"version": "u32"})["version"]
    except Refused:
        return 1
