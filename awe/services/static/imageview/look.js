// The form with stretch, cuts, colours: what it says, and contrast in steps.

import { ask, query } from "./ask.js";

const STEP = 1.5;

export class LookForm {
  constructor(form, frame_id, changed, refused) {
    this.form = form;
    this.id = frame_id;
    this.changed = changed;
    this.refused = refused;
    this.cuts = this.field("cuts").value;
    form.addEventListener("submit", (event) => { event.preventDefault(); this.read(); });
    form.addEventListener("change", () => this.read());
  }

  // Cuts that mean nothing are told, and the image stays as it is.
  async read() {
    const field = this.field("cuts"), typed = field.value.trim() || "zscale";
    if (typed !== this.cuts) {
      try {
        await ask(`/imageview/${this.id}/cuts.json?${query({ cuts: typed })}`);
      } catch (error) {
        field.setAttribute("aria-invalid", "true");
        this.refused(error.message);
        return;
      }
      this.refused("");
    }
    field.removeAttribute("aria-invalid");
    this.cuts = typed;
    this.changed(this.look);
  }

  field(name) {
    return this.form.elements.namedItem(name);
  }

  get look() {
    const plane = this.field("plane");
    return {
      plane: plane ? plane.value : "image",
      stretch: this.field("stretch").value,
      cuts: this.cuts,
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
    if (low === null) throw new Error("flag bits have colours of their own, whatever the contrast");
    const middle = (low + high) / 2;
    const half = ((high - low) / 2) * (higher ? 1 / STEP : STEP);
    this.field("cuts").value = this.cuts = `${Number((middle - half).toPrecision(6))},${Number((middle + half).toPrecision(6))}`;
    this.field("cuts").removeAttribute("aria-invalid");
    this.refused("");
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
