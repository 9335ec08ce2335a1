// Questions to the server: the last one of a kind counts, one at a time.

export async function ask(address) {
  const response = await fetch(address, { headers: { Accept: "application/json" } });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error || response.statusText);
  return answer;
}

// Returns a function that asks for an address; while one question is open, only the newest other one waits.
export function lastOnly(use, fail = () => {}) {
  let busy = false, waiting = null;
  async function next(address, context) {
    if (busy) {
      waiting = [address, context];
      return;
    }
    busy = true;
    try {
      use(await ask(address), context);
    } catch (error) {
      fail(error, context);
    }
    busy = false;
    if (waiting) {
      const [again, its] = waiting;
      waiting = null;
      next(again, its);
    }
  }
  return next;
}

export const query = (given) =>
  new URLSearchParams(Object.entries(given).filter(([, v]) => v !== null && v !== undefined && v !== "")).toString();
