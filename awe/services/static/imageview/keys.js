// Keyboard shortcuts, and the list of them.

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", C: "Shift C" };

export function listen(list, keys) {
  const actions = new Map();
  for (const [key, doc, act, others = []] of keys) {
    for (const one of [key, ...others]) actions.set(one, act);
    const term = document.createElement("dt"), text = document.createElement("dd");
    const cap = document.createElement("kbd");
    cap.textContent = NAMES[key] || key;
    term.append(cap);
    text.textContent = doc;
    const row = document.createElement("div");
    row.append(term, text);
    list.append(row);
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (event.ctrlKey || event.metaKey || event.altKey || (typing && typing.type !== "checkbox")) return;
    const act = actions.get(event.key);
    if (!act) return;
    event.preventDefault();
    act();
  });
}
