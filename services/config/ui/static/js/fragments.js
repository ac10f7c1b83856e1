// Parts of a page that are loaded again: `data-fragment="/url"`, every `data-every` seconds or when asked for,
// until a part with `data-settled` says that nothing more is to come.
import { ask, documentOf } from "./asking.js";
import { saySignedOut } from "./notices.js";

const due = new WeakMap();

/** Load a fragment's URL anew and put what comes in its place; keeps focus and scrolling. Returns whether it worked. */
export async function reload(element, url = element.dataset.fragment) {
  if (element.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) return true;
  try {
    const answer = await ask(url);
    if (answer.status === 401) {
      saySignedOut();
      return false;
    }
    if (!answer.ok) throw new Error(answer.status);
    put(element, await documentOf(answer));
    element.removeAttribute("data-stale");
    return true;
  } catch {
    element.setAttribute("data-stale", "");
    return false;
  }
}

/** How what has the focus is found again: by its id or address, or those of the details or form that it is part of. */
function markOf(kept) {
  if (kept.id) return `#${CSS.escape(kept.id)}`;
  if (kept.hasAttribute("href")) return `[href="${CSS.escape(kept.getAttribute("href"))}"]`;
  const details = kept.matches("summary") && kept.closest("details[id]");
  if (details) return `#${CSS.escape(details.id)} > summary`;
  const form = kept.closest("form[action]");
  return form && `form[action="${CSS.escape(form.getAttribute("action"))}"] ${kept.localName}`;
}

/** Put the content of a document into an element, keeping the focus, and what was opened and closed. */
export function put(element, found) {
  const kept = element.contains(document.activeElement) ? document.activeElement : null;
  const mark = kept && markOf(kept);
  const folds = [...element.querySelectorAll("details[id]")].map((each) => [each.id, each.open]);
  element.replaceChildren(...found.body.childNodes);
  folds.forEach(([id, open]) => document.getElementById(id)?.toggleAttribute("open", open));
  if (mark) element.querySelector(mark)?.focus({ preventScroll: true });
  element.dispatchEvent(new Event("fragment", { bubbles: true }));
  import("./app.js").then(({ enhance }) => enhance(element));
}

/** Keep the fragments of a part of the page up to date. */
export function enhanceFragments(root) {
  for (const element of [root, ...root.querySelectorAll("[data-fragment]")]) {
    if (!element.dataset?.fragment || due.has(element)) continue;
    const seconds = Number(element.dataset.every);
    due.set(element, true);
    if (element.hasAttribute("data-now")) reload(element);
    if (seconds) repeat(element, seconds);
  }
}

function repeat(element, seconds) {
  setTimeout(async () => {
    if (!element.isConnected || element.querySelector("[data-settled]")) return;
    if (!document.hidden) await reload(element);
    repeat(element, seconds);
  }, seconds * 1000);
}
