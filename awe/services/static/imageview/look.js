// The form with stretch, cuts, colours: what it says, and contrast in steps.

import { ask, query } from "./ask.js";

const STEP = 1.5;

export class LookForm {
  constructor(form, frame_id, changed) {
    this.form = form;
    this.id = frame_id;
    this.changed = changed;
    form.addEventListener("submit", (event) => { event.preventDefault(); changed(this.look); });
    form.addEventListener("change", () => changed(this.look));
  }

  field(name) {
    return this.form.elements.namedItem(name);
  }

  get look() {
    const plane = this.field("plane");
    return {
      plane: plane ? plane.value : "image",
      stretch: this.field("stretch").value,
      cuts: this.field("cuts").value.trim() || "zscale",
      cmap: this.field("cmap").value,
      invert: this.field("invert").checked ? 1 : 0,
    };
  }

  async limits() {
    const { plane, cuts } = this.look;
    if (plane === "rgb") throw new Error("the levels of colour pictures are chosen where they are made");
    return ask(`/imageview/${this.id}/cuts.json?${query({ plane, cuts })}`);
  }

  // Narrows (higher contrast) or widens the cuts about their middle.
  async contrast(higher) {
    const { low, high } = await this.limits();
    if (low === null) return;
    const middle = (low + high) / 2;
    const half = ((high - low) / 2) * (higher ? 1 / STEP : STEP);
    this.field("cuts").value = `${Number((middle - half).toPrecision(6))},${Number((middle + half).toPrecision(6))}`;
    this.changed(this.look);
  }

  next(name) {
    const field = this.field(name);
    field.selectedIndex = (field.selectedIndex + 1) % field.options.length;
    this.changed(this.look);
  }

  turn() {
    this.field("invert").click();
  }
}
