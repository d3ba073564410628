// A tile of the Mandelbrot set. This is package mandel in JavaScript; it computes the same bytes.

const maxSize = 96;
const maxLimit = 2000;

export class Tile {
  constructor(payload) {
    if (payload.length !== 28) throw new Error("expected a tile of 28 bytes");
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    [this.left, this.top, this.step] = [0, 8, 16].map((at) => view.getFloat64(at, true));
    [this.size, this.limit] = [24, 26].map((at) => view.getUint16(at, true));
    if (this.size < 1 || this.size > maxSize || this.limit < 1 || this.limit > maxLimit) {
      throw new Error("expected a tile of 1 to 96 pixels a side and 1 to 2000 iterations");
    }
    this.values = new Uint8Array(2 * this.size * this.size);
  }

  renderRow(row) {
    const { left, top, step, size, limit, values } = this;
    for (let col = 0; col < size; col++) {
      const v = value(left + col * step, top - row * step, limit);
      const at = 2 * (row * size + col);
      values[at] = v;
      values[at + 1] = v >> 8;
    }
  }
}

// value returns after how many iterations the point x+iy escapes, in units of 1/32; 0 if it does not.
function value(x, y, limit) {
  const far = 1 << 16;
  let re = 0;
  let im = 0;
  for (let n = 0; n < limit; n++) {
    const re2 = re * re;
    const im2 = im * im;
    const size = re2 + im2;
    if (size > far) return Math.trunc((n + 1 - log2(log2(size) / 16)) * 32);
    im = 2 * re * im + y;
    re = re2 - im2 + x;
  }
  return 0;
}

// log2 is not Math.log2, whose last bit may differ between browsers.
function log2(x) {
  let n = 0;
  for (; x >= 2; x /= 2) n++;
  for (let bit = 0.5; bit > 1 / (1 << 17); bit /= 2) {
    x *= x;
    if (x >= 2) {
      x /= 2;
      n += bit;
    }
  }
  return n;
}
