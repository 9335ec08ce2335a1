// What is drawn over an image: sources, footprints, compass and scale bar.

import { lastOnly, query } from "./ask.js";
import { pixelStep } from "./geometry.js";

const LENGTHS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000];
const BAR = 140, ARROW = 34, NEAR = 8, LEAST = 3, LINE = 16, ROWS = 6;
const INK = "#ffd23f", OUTLINE = "#58c4ff", ROUND = "rgb(0 0 0 / 75%)";

export class Overlay {
  constructor(frame, said, told) {
    this.frame = frame;
    this.said = said;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "iv-over";
    this.canvas.setAttribute("aria-hidden", "true");
    frame.pane.append(this.canvas);
    this.title = "";
    this.slid = 0;
    this.sources = null;
    this.footprints = null;
    this.sky = frame.facts.middle;
    this.askSources = lastOnly((found) => this.take(found), (error) => said(error.message));
    this.askSky = lastOnly((found) => {
      this.sky = found;
      this.draw();
      told();
    });
    frame.viewer.addHandler("update-viewport", () => this.draw());
    frame.viewer.addHandler("resize", () => this.draw());
  }

  // After the view has come to rest: what lies in it now.
  rest() {
    const { object_id, nx, ny, middle } = this.frame.facts;
    if (middle) {
      const { x, y } = this.frame.centre;
      const hold = (v, most) => Math.min(Math.max(v, 1), most).toFixed(1);
      this.askSky(`/imageview/${object_id}/sky.json?${query({ x: hold(x, nx), y: hold(y, ny) })}`);
    }
    if (this.slid) this.askSources(`/imageview/${object_id}/sources.json?${query({ slid: this.slid, ...this.frame.seen() })}`);
  }

  list(slid) {
    this.slid = slid;
    this.sources = null;
    this.said("");
    this.draw();
    this.rest();
  }

  take(found) {
    if (found.slid !== this.slid) return;
    this.sources = found.rows.map((row) => Object.fromEntries(found.columns.map((name, i) => [name, row[i]])));
    const drawn = this.sources.length;
    const all = found.total > drawn ? `the ${drawn.toLocaleString("en")} brightest of ` : "";
    this.said(`${all}${found.total.toLocaleString("en")} sources in view`);
    this.draw();
  }

  outline(found) {
    this.footprints = found;
    this.draw();
  }

  // The source under a point of the screen.
  sourceAt(pixel) {
    let best = null, least = Infinity;
    for (const s of this.sources || []) {
      const { x, y } = this.frame.onScreen(s.x, s.y);
      const reach = Math.max(NEAR, radius(s) * this.frame.zoom);
      const distance = Math.hypot(x - pixel.x, y - pixel.y);
      if (distance < reach && distance < least) [best, least] = [s, distance];
    }
    return best;
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.frame.pane;
    const dense = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * dense) || this.canvas.height !== Math.round(height * dense)) {
      this.canvas.width = Math.round(width * dense);
      this.canvas.height = Math.round(height * dense);
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    for (const f of this.footprints || []) this.polygon(pen, f);
    for (const s of this.sources || []) this.ellipse(pen, s, width, height);
    const taken = [{ left: 0, right: width / 2, top: 0, bottom: this.title ? 30 : 0 }];
    if (this.sky) taken.push({ left: 0, right: 110, top: height - 110, bottom: height });
    for (const f of this.footprints || []) this.name(pen, f, taken, width, height);
    if (this.title) this.words(pen, this.title, 12, 18, "left");
    if (this.sky) this.compass(pen, width, height);
  }

  stroke(pen, colour, wide = 1.4) {
    pen.strokeStyle = ROUND;
    pen.lineWidth = wide + 2;
    pen.stroke();
    pen.strokeStyle = colour;
    pen.lineWidth = wide;
    pen.stroke();
  }

  words(pen, text, x, y, align = "center") {
    pen.textAlign = align;
    pen.textBaseline = "middle";
    pen.lineWidth = 3;
    pen.strokeStyle = ROUND;
    pen.strokeText(text, x, y);
    pen.fillStyle = "#fff";
    pen.fillText(text, x, y);
  }

  polygon(pen, footprint) {
    pen.beginPath();
    footprint.corners.forEach(([x, y], i) => {
      const p = this.frame.onScreen(x, y);
      if (i) pen.lineTo(p.x, p.y);
      else pen.moveTo(p.x, p.y);
    });
    pen.closePath();
    this.stroke(pen, OUTLINE);
  }

  // The name of a footprint, within one of its corners where no other words stand; left out where there is no room.
  name(pen, footprint, taken, width, height) {
    const corners = footprint.corners.map(([x, y]) => this.frame.onScreen(x, y));
    const middle = { x: mean(corners.map((p) => p.x)), y: mean(corners.map((p) => p.y)) };
    const long = pen.measureText(footprint.label).width;
    for (let row = 0; row < ROWS; row++) {
      for (const p of corners) {
        const x = p.x < middle.x ? p.x + 8 : p.x - 8 - long;
        const y = p.y + (p.y < middle.y ? 1 : -1) * (12 + row * LINE);
        const box = { left: x, right: x + long, top: y - LINE / 2, bottom: y + LINE / 2 };
        if (box.left < 0 || box.right > width || box.top < 0 || box.bottom > height) continue;
        if (taken.some((other) => meet(box, other))) continue;
        taken.push(box);
        this.words(pen, footprint.label, x, y, "left");
        return;
      }
    }
  }

  ellipse(pen, s, width, height) {
    const { x, y } = this.frame.onScreen(s.x, s.y);
    if (x < -50 || y < -50 || x > width + 50 || y > height + 50) return;
    const along = this.frame.onScreen(
      s.x + Math.cos((s.THETA_IMAGE * Math.PI) / 180), s.y + Math.sin((s.THETA_IMAGE * Math.PI) / 180));
    const angle = Math.atan2(along.y - y, along.x - x);
    const major = Math.max(LEAST, radius(s) * this.frame.zoom);
    const minor = s.A_IMAGE ? Math.max(LEAST, (major * s.B_IMAGE) / s.A_IMAGE) : major;
    pen.beginPath();
    pen.ellipse(x, y, major, minor, angle || 0, 0, 2 * Math.PI);
    this.stroke(pen, INK, 1.2);
  }

  compass(pen, width, height) {
    const { x, y } = this.frame.centre;
    const origin = { x: 64, y: height - 60 };
    const here = this.frame.onScreen(x, y);
    for (const [name, east, north] of [["N", 0, 1], ["E", 1, 0]]) {
      const step = pixelStep(this.sky.matrix, east, north);
      const there = this.frame.onScreen(x + step.x, y + step.y);
      const length = Math.hypot(there.x - here.x, there.y - here.y) || 1;
      const dx = ((there.x - here.x) / length) * ARROW, dy = ((there.y - here.y) / length) * ARROW;
      pen.beginPath();
      pen.moveTo(origin.x, origin.y);
      pen.lineTo(origin.x + dx, origin.y + dy);
      this.stroke(pen, "#fff", 1.6);
      this.words(pen, name, origin.x + dx * 1.35, origin.y + dy * 1.35);
    }
    const arcsec = this.sky.scale / this.frame.zoom;
    const length = LENGTHS.findLast((l) => l / arcsec <= BAR) || LENGTHS[0];
    pen.beginPath();
    pen.moveTo(width - 24 - length / arcsec, height - 24);
    pen.lineTo(width - 24, height - 24);
    this.stroke(pen, "#fff", 2);
    this.words(pen, named(length), width - 24 - length / arcsec / 2, height - 38);
  }
}

function mean(values) {
  return values.reduce((sum, v) => sum + v, 0) / values.length;
}

function meet(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

function radius(s) {
  const kron = s.KRON_RADIUS && s.KRON_RADIUS > 0 ? s.KRON_RADIUS : 2.5;
  return (s.A_IMAGE || 1) * Math.max(kron, 2);
}

function named(arcsec) {
  if (arcsec >= 3600) return `${arcsec / 3600}°`;
  return arcsec >= 60 ? `${arcsec / 60}′` : `${arcsec}″`;
}
