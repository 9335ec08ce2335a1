// Enlargements that float freely over the page, and the times of the pictures in the log of the operations.

const open = [];
let front = 10;

function place(panel, x, y) {
  const most = [window.innerWidth - 60, window.innerHeight - 40];
  panel.style.left = `${Math.max(60 - panel.offsetWidth, Math.min(x, most[0]))}px`;
  panel.style.top = `${Math.max(0, Math.min(y, most[1]))}px`;
}

function raise(panel) {
  panel.style.zIndex = String(++front);
  open.splice(open.indexOf(panel), 1);
  open.push(panel);
}

function close(panel) {
  open.splice(open.indexOf(panel), 1);
  panel.remove();
  panel.opener.focus();
}

function dragged(panel, bar) {
  bar.addEventListener("pointerdown", (down) => {
    if (down.target.closest("button, a")) return;
    const from = [down.clientX - panel.offsetLeft, down.clientY - panel.offsetTop];
    const move = (event) => place(panel, event.clientX - from[0], event.clientY - from[1]);
    bar.setPointerCapture(down.pointerId);
    bar.addEventListener("pointermove", move);
    bar.addEventListener("pointerup", () => bar.removeEventListener("pointermove", move), { once: true });
    raise(panel);
  });
}

const STEPS = { ArrowLeft: [-20, 0], ArrowRight: [20, 0], ArrowUp: [0, -20], ArrowDown: [0, 20] };

function magnify(link) {
  const panel = document.createElement("div");
  panel.className = "floating";
  panel.tabIndex = -1;
  panel.setAttribute("role", "dialog");
  panel.setAttribute("aria-label", link.dataset.magnify);
  const bar = document.createElement("div");
  bar.className = "bar";
  const words = document.createElement("span");
  words.textContent = link.dataset.magnify;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "×";
  button.setAttribute("aria-label", "Close");
  const picture = document.createElement("img");
  picture.alt = link.dataset.magnify;
  picture.src = link.href;
  bar.append(words, button);
  panel.append(bar, picture);
  panel.opener = link;
  document.body.append(panel);
  const many = open.length % 8;
  place(panel, window.innerWidth / 2 - 270 + 28 * many, 60 + 28 * many);
  open.push(panel);
  raise(panel);
  button.addEventListener("click", () => close(panel));
  panel.addEventListener("pointerdown", () => raise(panel));
  panel.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    place(panel, panel.offsetLeft + step[0], panel.offsetTop + step[1]);
    event.preventDefault();
  });
  dragged(panel, bar);
  panel.focus();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-magnify]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  magnify(link);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && open.length) close(open[open.length - 1]);
});

function times() {
  const found = new Map();
  for (const entry of performance.getEntriesByType("resource")) {
    for (const step of entry.serverTiming ?? []) {
      const known = found.get(step.name) ?? [0, 0];
      found.set(step.name, [known[0] + 1, known[1] + step.duration]);
    }
  }
  return found;
}

const log = document.querySelector("[data-oplog]");
log?.addEventListener("toggle", () => {
  const body = log.querySelector("tbody");
  body.querySelectorAll(".measured").forEach((row) => row.remove());
  for (const [step, [count, sum]] of times()) {
    const row = body.insertRow();
    row.className = "measured";
    for (const text of [step, `of ${count} picture${count === 1 ? "" : "s"} on this page, in all`, sum.toFixed(1)]) {
      row.insertCell().textContent = text;
    }
    row.lastChild.className = "number";
  }
});
