// Panels: links with `data-panel` open beside the list, with their own address; Esc and the cross close them.
import { ask, documentOf } from "./asking.js";
import { mayLeave, dirtyForms, forget } from "./forms.js";

let enhance = () => {};
let opener = null;
const place = () => document.getElementById("panel-place");
const panel = () => document.getElementById("panel");

/** Follow links into panels and out of them. */
export function followPanels(enhanced) {
  enhance = enhanced;
  document.addEventListener("click", onClick);
  addEventListener("popstate", () => location.reload());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || !panel() || document.querySelector("dialog[open], details.menu[open]")) return;
    event.preventDefault();
    close();
  });
  markRow();
  if (panel() && !panel().querySelector("[data-focus]")) document.getElementById("panel-title")?.focus();
}

function onClick(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const anchor = event.target.closest?.("a[data-panel], a[data-panel-close]");
  if (!anchor || !place()) return;
  if (anchor.hasAttribute("data-panel-close")) {
    event.preventDefault();
    close();
  } else {
    event.preventDefault();
    open(anchor);
  }
}

async function open(anchor) {
  if (!mayLeave()) return;
  try {
    const answer = await ask(anchor.href);
    const found = answer.ok && !answer.redirected ? (await documentOf(answer)).getElementById("panel") : null;
    if (!found) return location.assign(anchor.href);
    opener = anchor;
    place().replaceChildren(found);
    history.pushState({}, "", anchor.href);
    markRow();
    enhance(found);
    if (!found.querySelector("[data-focus]")) document.getElementById("panel-title")?.focus();
  } catch {
    location.assign(anchor.href);
  }
}

/** Close the panel; the list behind it stays as it was, and the focus goes back to where it came from. */
export function close() {
  if (!mayLeave()) return;
  dirtyForms().forEach(forget);
  const back = panel().dataset.close;
  if (!opener?.isConnected) return location.assign(back);
  place().replaceChildren();
  history.pushState({}, "", back);
  markRow();
  opener.focus();
  opener = null;
}

/** Mark the row that the panel is of. */
export function markRow() {
  for (const row of document.querySelectorAll("tr[data-row]")) {
    const current = Boolean(panel()) && location.pathname.startsWith(row.dataset.row);
    row.toggleAttribute("aria-current", current);
    if (current) {
      row.setAttribute("aria-current", "true");
      row.scrollIntoView({ block: "nearest" });
    }
  }
}
