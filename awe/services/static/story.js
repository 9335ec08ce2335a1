// Tells on the page of an object whether it is stale, when that takes longer than the page waits: the link leads to the same.

const link = document.querySelector("#story");

function verdict(kind, text) {
  const said = document.createElement("span");
  said.className = `dot ${kind}`;
  said.textContent = text;
  return said;
}

function reasons(sentences) {
  const notice = document.createElement("section");
  const heading = document.createElement("h2");
  const list = document.createElement("ul");
  heading.textContent = "Stale: it would be made differently now";
  list.append(
    ...sentences.map((sentence) => {
      const item = document.createElement("li");
      item.textContent = sentence;
      return item;
    }),
  );
  notice.className = "notice";
  notice.append(heading, list);
  return notice;
}

async function tell() {
  const answer = await fetch(link.href, { headers: { Accept: "application/json" } });
  if (!answer.ok) return; // the link stays, and tells what is wrong
  const { stale, causes } = await answer.json();
  if (stale.length) document.querySelector(".actions").after(reasons([...stale, ...causes.map((one) => `the cause: ${one}`)]));
  link.replaceWith(stale.length ? verdict("warn", "stale") : verdict("good", "up to date"));
}

tell();
