// Keys for who likes them; all they do can be done without.
const typing = (e) => e.target.closest?.("input, select, textarea, [contenteditable]");
const rows = () => [...document.querySelectorAll("table[data-rows] tbody tr")];

function go(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(document.activeElement?.closest("tr"));
  const row = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
  row.tabIndex = -1;
  row.focus();
  row.scrollIntoView({ block: "nearest" });
}

const follow = (selector) => document.querySelector(selector)?.click();

const keys = {
  "/": () => document.querySelector(".find input")?.focus(),
  "?": () => follow('header a[href^="/help"]'),
  j: () => go(1),
  k: () => go(-1),
  n: () => follow('a[rel="next"]'),
  p: () => follow('a[rel="prev"]'),
};

document.addEventListener("keydown", (e) => {
  if (e.key === "Escape") {
    document.querySelectorAll(".menu[open], .chooser[open]").forEach((menu) => { menu.open = false; });
    if (typing(e)) e.target.blur();
    return;
  }
  if (typing(e) || e.ctrlKey || e.metaKey || e.altKey || document.querySelector("[data-own-keys]")) return;
  const row = document.activeElement?.matches("table[data-rows] tbody tr") ? document.activeElement : null;
  const act = row && { ArrowDown: () => go(1), ArrowUp: () => go(-1), Enter: () => row.querySelector("a:not([tabindex])")?.click() }[e.key];
  const run = act || keys[e.key];
  if (!run) return;
  e.preventDefault();
  run();
});

// a menu closes when one clicks beside it
document.addEventListener("click", (e) => {
  document.querySelectorAll(".menu[open]").forEach((menu) => { if (!menu.contains(e.target)) menu.open = false; });
});

// lines to copy
for (const line of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(line.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  line.after(" ", button);
}

// heads of columns are dragged into another order, which the address then states
for (const head of document.querySelectorAll("table[data-rows] th[data-column]")) {
  head.draggable = true;
  head.addEventListener("dragstart", (e) => e.dataTransfer.setData("text/x-column", head.dataset.column));
  head.addEventListener("dragover", (e) => e.preventDefault());
  head.addEventListener("drop", (e) => {
    const moved = e.dataTransfer.getData("text/x-column");
    const order = [...document.querySelectorAll("table[data-rows] th[data-column]")].map((h) => h.dataset.column);
    if (!order.includes(moved) || moved === head.dataset.column) return;
    e.preventDefault();
    const to = order.indexOf(head.dataset.column);
    order.splice(order.indexOf(moved), 1);
    order.splice(to, 0, moved);
    const address = new URL(location.href);
    address.searchParams.set("columns", order.join(","));
    location.assign(address);
  });
}
