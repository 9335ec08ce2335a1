// Unfolds places of a lineage without loading the page anew: the links do the same without this script.

const trees = document.querySelectorAll(".unfolding");

function opened() {
  const links = [...document.querySelectorAll(".unfold[aria-expanded=true]")];
  return links.filter((link) => !link.closest("[hidden]")).map((link) => link.dataset.id);
}

function remember() {
  const address = new URL(location.href);
  const numbers = [...new Set(opened())].sort((a, b) => a - b);
  if (numbers.length) address.searchParams.set("expand", numbers.join(","));
  else address.searchParams.delete("expand");
  address.searchParams.delete("depth");
  history.replaceState(null, "", address);
}

function insideOf(link) {
  const row = link.closest("tr");
  const next = row ? row.nextElementSibling : link.closest("li").querySelector(":scope > .inside");
  return row ? (next?.classList.contains("below") ? next : null) : next;
}

function place(link, content) {
  const inside = document.createElement("div");
  inside.className = "inside";
  inside.append(...content);
  const row = link.closest("tr");
  if (!row) {
    link.closest("li").append(inside);
    return;
  }
  const below = document.createElement("tr");
  const cell = document.createElement("td");
  below.className = "below";
  cell.colSpan = row.cells.length;
  cell.append(inside);
  below.append(cell);
  row.after(below);
}

function show(link, open) {
  link.setAttribute("aria-expanded", String(open));
  link.setAttribute("aria-label", link.getAttribute("aria-label").replace(/^\w+/, open ? "Fold" : "Unfold"));
  link.textContent = open ? "−" : "+";
}

async function unfold(link) {
  link.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(link.dataset.branch, { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    place(link, [...page.body.childNodes]);
    show(link, true);
    remember();
  } catch {
    location.href = link.href; // the page itself tells what is wrong
  } finally {
    link.removeAttribute("aria-busy");
  }
}

function click(event) {
  const link = event.target.closest("a.unfold");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const inside = insideOf(link);
  if (!inside && !link.dataset.branch) return;
  event.preventDefault();
  if (link.getAttribute("aria-busy")) return;
  if (!inside) {
    unfold(link);
    return;
  }
  inside.hidden = !inside.hidden;
  show(link, !inside.hidden);
  remember();
}

for (const tree of trees) tree.addEventListener("click", click);
