// Two images linked by their place on the sky: side by side, or one over the other, blinking.

import { lastOnly, query } from "./ask.js";
import { pixelStep } from "./geometry.js";

const EVERY = 700, FAR = 0.3;

export class Pair {
  constructor(stage, first, second, mode) {
    this.stage = stage;
    this.frames = [first, second];
    this.anchor = [null, null]; // at each frame: a position on it, and the same place on the other one
    this.quiet = false;
    this.timer = null;
    this.ask = [0, 1].map((from) => lastOnly((found) => {
      this.anchor[from] = found;
      if (this.leading === from) this.follow(from);
    }));
    [first, second].forEach((frame, index) => {
      frame.viewer.addHandler("viewport-change", () => this.moved(index));
      frame.pane.addEventListener("pointerenter", () => { this.leading = index; });
    });
    this.leading = 0;
    this.show(mode);
  }

  get onSky() {
    return this.frames.every((frame) => frame.facts.middle);
  }

  moved(from) {
    if (this.quiet || this.leading !== from) return;
    if (this.onSky) {
      const frame = this.frames[from], { x, y } = frame.centre, anchor = this.anchor[from];
      const seen = frame.width / frame.zoom;
      if (!anchor || Math.hypot(x - anchor.x, y - anchor.y) > FAR * seen) this.fetch(from, x, y);
    }
    this.follow(from);
  }

  // Also when the view has come to rest: then the link is exact.
  rest() {
    if (!this.onSky) return;
    const { x, y } = this.frames[this.leading].centre;
    this.fetch(this.leading, x, y);
  }

  fetch(from, x, y) {
    const [here, there] = [this.frames[from], this.frames[1 - from]].map((frame) => frame.facts.object_id);
    const given = { x: x.toFixed(3), y: y.toFixed(3), onto: there };
    this.ask[from](`/imageview/${here}/sky.json?${query(given)}`);
  }

  follow(from) {
    const lead = this.frames[from], other = this.frames[1 - from], { x, y } = lead.centre;
    const view = lead.viewer.viewport, viewport = other.viewer.viewport;
    let place = { x, y, zoom: lead.zoom, turn: view.getRotation(), flip: view.getFlip() };
    if (this.onSky) {
      const anchor = this.anchor[from];
      if (!anchor || !anchor.onto) return;
      place = carried(anchor, anchor.onto, place);
    }
    this.quiet = true;
    if (viewport.getFlip() !== place.flip) viewport.setFlip(place.flip);
    viewport.setRotation(place.turn, true);
    other.go(place, true);
    other.viewer.forceRedraw();
    this.quiet = false;
  }

  show(mode) {
    this.mode = mode;
    this.stage.classList.toggle("iv-blink", mode === "blink");
    this.stage.classList.toggle("iv-side", mode === "side");
    this.stage.classList.remove("iv-second");
  }

  blink() {
    if (this.mode !== "blink") this.show("blink");
    this.stage.classList.toggle("iv-second");
    return this.frames[this.stage.classList.contains("iv-second") ? 1 : 0];
  }

  byItself(on, told) {
    window.clearInterval(this.timer);
    if (on) this.timer = window.setInterval(() => told(this.blink()), EVERY);
  }
}

// Where a position near an anchor lies on the other image, how large it is there, and how the image must be turned and
// flipped to have north and east where the first one has them.
function carried(here, there, { x, y, zoom, turn, flip }) {
  const [ex, nx, ey, ny] = here.matrix;
  const dx = x - here.x, dy = y - here.y;
  const step = pixelStep(there.matrix, dx * ex + dy * ey, dx * nx + dy * ny);
  const mirrored = isPositive(here.matrix) !== isPositive(there.matrix);
  const [a, b] = [here, there].map(({ matrix }) => clockwise(pixelStep(matrix, 0, 1)));
  const sign = mirrored ? -1 : 1;
  return {
    x: there.x + step.x,
    y: there.y + step.y,
    zoom: (zoom * there.scale) / here.scale,
    turn: sign * (a + turn) - b,
    flip: mirrored ? !flip : flip,
  };
}

const isPositive = ([ex, nx, ey, ny]) => ex * ny - nx * ey > 0;
const clockwise = ({ x, y }) => (Math.atan2(x, y) * 180) / Math.PI;
