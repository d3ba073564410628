// Messages as lines over the standard files of Node.

import { isUtf8 } from "node:buffer";
import { writeSync } from "node:fs";

import { ProtocolError } from "../../browser/web/envelope.js";

// lines yields the lines of a stream as bytes. node:readline would also split at carriage returns.
export async function* lines(stream) {
  let rest = [];
  for await (let chunk of stream) {
    for (let end; (end = chunk.indexOf(10)) >= 0; chunk = chunk.subarray(end + 1)) {
      yield Buffer.concat([...rest, chunk.subarray(0, end)]);
      rest = [];
    }
    rest.push(chunk);
  }
}

// text decodes a message. A byte-order mark stays, so that it is refused.
export function text(bytes) {
  if (!isUtf8(bytes)) throw new ProtocolError("Malformed", { cause: "not UTF-8" });
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

// writeAll writes at once: process.stdout may do it later, after the reply.
export function writeAll(fd, line) {
  for (let rest = Buffer.from(line); rest.length > 0;) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}
