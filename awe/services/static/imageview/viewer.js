// The viewer of images: puts the parts together, and keeps the address of the view in the address bar.

import { ask, query } from "./ask.js";
import { Frame } from "./frame.js";
import { skyNear } from "./geometry.js";
import { listen } from "./keys.js";
import { LookForm } from "./look.js";
import { Overlay } from "./overlay.js";
import { Pair } from "./pair.js";
import { Readout } from "./readout.js";

const $ = (id) => document.getElementById(id);
const stage = $("iv-stage");
const facts = JSON.parse(stage.dataset.facts);
const given = JSON.parse(stage.dataset.given);
const second = stage.dataset.pair ? JSON.parse(stage.dataset.pair) : null;

for (const part of document.querySelectorAll(".iv-script")) part.hidden = false;
for (const part of document.querySelectorAll(".iv-plain")) part.hidden = true;

const said = (text) => { $("iv-said").textContent = text; };
const show = (look) => {
  frames.forEach((frame) => frame.show(look));
  if ($("iv-legend")) $("iv-legend").hidden = look.plane !== "flags" && !facts.is_map;
  remember();
};
const form = new LookForm($("iv-look"), facts.object_id, show, said);
const frames = [new Frame($("iv-pane-a"), facts, form.look)];
if (second) frames.push(new Frame($("iv-pane-b"), second, form.look));
const [first] = frames;
const readouts = frames.map((frame) => new Readout(frame, $("iv-place")));
const overlays = frames.map((frame) => new Overlay(frame, said, () => follow()));
if (second) overlays.forEach((overlay) => { overlay.title = overlay.frame.facts.label; });
const pair = second ? new Pair(stage, ...frames, given.mode) : null;
let cursor = null;

frames.forEach((frame, index) => {
  frame.viewer.addHandler("animation-finish", () => rest(index));
  frame.viewer.addHandler("open", () => rest(index));
  frame.viewer.addHandler("tile-drawn", scale);
  frame.viewer.addHandler("tile-load-failed", ({ message }) => said(`a tile could not be had: ${message}`));
  frame.pane.addEventListener("pointermove", (event) => {
    const box = frame.pane.getBoundingClientRect();
    const { x, y } = frame.at({ x: event.clientX - box.left, y: event.clientY - box.top });
    cursor = { x, y, index };
    readouts[index].point(x, y, frame.look.plane);
  });
  frame.viewer.addHandler("canvas-click", (event) => {
    if (event.quick) pick(overlays[index], event.position);
  });
});

first.ready(() => {
  if (given.zoom || given.x !== null) first.go({ x: given.x, y: given.y, zoom: given.zoom }, true);
  if (given.sources) overlays[0].list(given.sources);
  if (given.footprints) outlines(true);
  if (pair) frames[1].ready(() => { pair.leading = 0; pair.rest(); });
  scale();
});

function rest(index) {
  overlays[index].rest();
  if (index === 0) remember();
  if (pair && pair.leading === index) pair.rest();
  scale();
}

function scale() {
  const { zoom, binning } = first;
  const words = zoom >= 1 ? `1 pixel of the image is ${round(zoom)} of the screen` : `1 of the screen is ${round(1 / zoom)} pixels`;
  $("iv-scale").textContent = `${words}; binning factor ${binning}`;
}

const round = (value) => Number(value.toPrecision(3));

function remember() {
  const { x, y } = first.centre;
  const look = form.look;
  const defaults = { plane: "image", stretch: "linear", cuts: "zscale", cmap: "gray", invert: 0 };
  const state = { x: round1(x), y: round1(y), zoom: round(first.zoom) };
  for (const [name, value] of Object.entries(look)) if (value !== defaults[name]) state[name] = value;
  if (overlays[0].slid) state.sources = overlays[0].slid;
  if (overlays[0].footprints) state.footprints = 1;
  if (second) Object.assign(state, { with: second.object_id, mode: pair.mode === "blink" ? "blink" : null });
  if (given.rgb) Object.assign(state, { rgb: given.rgb, rgb_look: given.rgb_look });
  history.replaceState(null, "", `${location.pathname}?${query(state)}`);
  follow();
}

const round1 = (value) => Math.round(value * 10) / 10;

// Links and fields that carry the position keep up with it.
function follow() {
  const { x, y } = first.centre;
  const pixel = { x: round1(x), y: round1(y) }, sky = overlays[0].sky;
  const angles = sky && skyNear(sky, x, y);
  const link = $("iv-ancestors");
  link.href = `${link.pathname}?${query(pixel)}`;
  for (const other of document.querySelectorAll("[data-by]")) {
    const address = new URL(other.href);
    const place = other.dataset.by === "pixel" ? pixel : angles && { ra: angles.ra.toFixed(7), dec: angles.dec.toFixed(7) };
    for (const [name, value] of Object.entries(place || {})) address.searchParams.set(name, value);
    other.href = address;
  }
  for (const field of document.querySelectorAll("[data-place]")) field.value = pixel[field.dataset.place];
}

function pick(overlay, position) {
  const source = overlay.sourceAt(position);
  if (!source) return;
  const text = `source ${source.SID} of list ${overlay.slid}: x ${source.x.toFixed(2)}, y ${source.y.toFixed(2)}`;
  const mag = source.MAG_AUTO === null ? "" : `, ${source.MAG_AUTO.toFixed(3)} mag`;
  const box = $("iv-said");
  box.textContent = `${text}${mag}, FLAGS ${source.FLAGS} `;
  if (stage.dataset.sources) {
    const row = document.createElement("a");
    row.href = `${stage.dataset.sources.replace(/(\{|%7B)slid(\}|%7D)/i, overlay.slid)}#s${source.SID}`;
    row.textContent = "its row";
    box.append(row);
  }
}

async function outlines(on) {
  if (!on) overlays[0].outline(null);
  else {
    try {
      const found = await ask(`/imageview/${facts.object_id}/footprints.json`);
      overlays[0].outline(found.frames);
      const all = found.total > found.frames.length ? ` of ${found.total}` : "";
      said(`${found.frames.length}${all} footprints`);
    } catch (error) {
      said(error.message);
    }
  }
  remember();
}

const names = () => said(`shown: ${(stage.classList.contains("iv-second") ? second : facts).label}`);
const step = (dx, dy) => () => {
  const { x, y } = first.centre, seen = first.width / first.zoom / 8;
  first.go({ x: x + dx * seen, y: y + dy * seen });
};
const lead = () => { if (pair) pair.leading = 0; };
const actions = {
  "contrast-high": () => form.contrast(true).catch((error) => said(error.message)),
  "contrast-low": () => form.contrast(false).catch((error) => said(error.message)),
  smaller: () => { lead(); first.go({ zoom: first.zoom / 2 }); },
  larger: () => { lead(); first.go({ zoom: first.zoom * 2 }); },
  native: () => { lead(); first.go({ zoom: 1 }); },
  whole: () => { lead(); first.whole(); },
  side: () => { if (pair) { pair.show("side"); remember(); } },
  blink: () => { if (pair) { pair.blink(); names(); remember(); } },
  keys: () => {
    const open = $("iv-keys").hidden;
    $("iv-keys").hidden = !open;
    document.querySelector("[data-do=keys]").setAttribute("aria-expanded", String(open));
  },
  places: () => {
    const link = $("iv-ancestors");
    const at = cursor && cursor.index === 0 ? { x: round1(cursor.x), y: round1(cursor.y) } : null;
    location.assign(at ? `${link.pathname}?${query(at)}` : link.href);
  },
};

for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => actions[button.dataset.do]());
if ($("iv-sources")) $("iv-sources").addEventListener("change", (e) => { overlays[0].list(Number(e.target.value)); remember(); });
if ($("iv-footprints")) $("iv-footprints").addEventListener("change", (event) => outlines(event.target.checked));
if ($("iv-auto")) $("iv-auto").addEventListener("change", (event) => pair.byItself(event.target.checked, names));

listen($("iv-keylist"), [
  ["+", "twice as large", actions.larger, ["="]],
  ["-", "half as large", actions.smaller],
  ["1", "one pixel of the image for one of the screen", actions.native],
  ["0", "the whole image", actions.whole],
  ["ArrowLeft", "to the left", () => { lead(); step(-1, 0)(); }],
  ["ArrowRight", "to the right", () => { lead(); step(1, 0)(); }],
  ["ArrowUp", "up", () => { lead(); step(0, 1)(); }],
  ["ArrowDown", "down", () => { lead(); step(0, -1)(); }],
  ["i", "invert (POS, NEG)", () => form.turn()],
  ["c", "contrast high", actions["contrast-high"]],
  ["C", "contrast low", actions["contrast-low"]],
  ["t", "next stretch", () => form.next("stretch")],
  ["m", "next colour map", () => form.next("cmap")],
  ["p", "the position under the cursor in all it was made from", actions.places],
  ...(pair ? [["b", "blink", actions.blink], ["s", "side by side", actions.side]] : []),
  ["/", "find a number, name, file or position", () => document.querySelector(".find input")?.focus()],
  ["?", "this list", actions.keys],
]);
