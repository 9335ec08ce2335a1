// What lies under the cursor: x, y, value, flags, position on the sky.

import { lastOnly, query } from "./ask.js";
import { sexagesimal, skyNear } from "./geometry.js";

const HALF = 16;

export class Readout {
  constructor(frame, output) {
    this.frame = frame;
    this.output = output;
    this.block = null;
    this.position = null;
    this.fetch = lastOnly((block) => { this.block = block; this.write(); }, () => { this.block = null; this.write(); });
  }

  point(x, y, plane) {
    this.position = { x, y };
    if (!this.frame.facts.planes.includes(plane) || plane === "rgb") plane = "image";
    if (this.plane !== plane) this.block = null;
    this.plane = plane;
    const { nx, ny } = this.frame.facts;
    const inside = x >= 0.5 && x < nx + 0.5 && y >= 0.5 && y < ny + 0.5;
    if (inside && this.find() === null) {
      const given = { x: Math.round(x), y: Math.round(y), half: HALF, plane };
      this.fetch(`/imageview/${this.frame.facts.object_id}/pixel.json?${query(given)}`);
    }
    this.write();
  }

  find() {
    if (!this.block) return null;
    const row = Math.round(this.position.y) - this.block.y0, column = Math.round(this.position.x) - this.block.x0;
    const lines = this.block.values || this.block.flags;
    if (row < 0 || row >= lines.length || column < 0 || column >= lines[0].length) return null;
    return {
      value: this.block.values ? this.block.values[row][column] : undefined,
      flags: this.block.flags ? this.block.flags[row][column] : 0,
    };
  }

  write() {
    if (!this.position) return;
    const { x, y } = this.position;
    const found = this.find();
    const words = [`x ${x.toFixed(1)}  y ${y.toFixed(1)}`];
    if (found) {
      if (found.value !== undefined) words.push(found.value === null ? "no value" : `${shown(found.value)} ${this.block.unit}`);
      if (this.block.sky) {
        const { ra, dec } = skyNear(this.block.sky, x, y);
        words.push(`${sexagesimal(ra, dec)}  (${ra.toFixed(5)} ${dec.toFixed(5)})`);
      }
      const bits = Object.entries(this.block.bits).filter(([bit]) => found.flags & bit).map(([, name]) => name);
      if (bits.length) words.push(bits.join(", "));
    }
    this.output.textContent = words.join("   ");
  }
}

function shown(value) {
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e7) ? value.toExponential(4) : String(Number(value.toPrecision(7)));
}
