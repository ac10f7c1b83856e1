// The list of moments: live numbers in their places, finding as one types, choosing several.
import { ask, documentOf } from "../asking.js";
import { markRow } from "../panel.js";
import { word } from "../words.js";

let latest = 0;
const EVERY = 5;
const TYPING = 250;
const list = document.getElementById("moments");
const panelOpen = () => Boolean(document.getElementById("panel"));
const enhanced = (root) => import("../app.js").then(({ enhance }) => enhance(root));

// Numbers.

/** Put what has an id where the same id stands in the page; nothing else moves. */
function place(found) {
  for (const part of found.body.querySelectorAll("[id]")) {
    const here = document.getElementById(part.id);
    if (here && here.innerHTML !== part.innerHTML) here.replaceChildren(...part.childNodes);
  }
}

async function refresh() {
  const state = list.querySelector("[data-figures]");
  if (!state || document.hidden) return;
  try {
    const answer = await ask(state.dataset.figures);
    if (!answer.ok) throw new Error(answer.status);
    const found = await documentOf(answer);
    if (!state.isConnected) return;
    place(found);
    if (found.getElementById("list-is-other") && !busy()) await renew(state.dataset.url);
  } catch {
    if (state.isConnected) document.getElementById("figures-age").textContent = word("stale");
  }
}

/** Whether somebody is about to press something in the list: it must not move then. */
const busy = () => Boolean(document.querySelector("dialog[open], #moments details[open], #moments tbody input:checked"));

/** Show the same part of the list as others have changed it meanwhile; the focus stays on what has the same address. */
async function renew(url) {
  const mine = ++latest;
  const answer = await ask(url);
  const found = (await documentOf(answer)).getElementById("moments");
  if (!answer.ok || !found || mine !== latest || busy()) return;
  const kept = list.contains(document.activeElement) ? document.activeElement : null;
  const address = kept?.getAttribute("href");
  list.replaceChildren(...found.childNodes);
  if (address) list.querySelector(`[href="${CSS.escape(address)}"]${kept.title ? `[title="${CSS.escape(kept.title)}"]` : ""}`)?.focus({ preventScroll: true });
  await enhanced(list);
  markRow();
  count();
}

function repeat() {
  setTimeout(() => refresh().finally(repeat), EVERY * 1000);
}

// Finding.

/** Show another part of the list; the address follows. */
async function show(url, { push = true, form = true } = {}) {
  const mine = ++latest;
  try {
    const answer = await ask(url);
    if (!answer.ok || answer.redirected) return location.assign(url);
    const found = await documentOf(answer);
    if (mine !== latest) return;
    list.replaceChildren(...found.getElementById("moments").childNodes);
    const finder = document.querySelector("form[data-list]");
    const other = found.querySelector("form[data-list]");
    if (form && finder && other) finder.replaceWith(other);
    if (push) history.pushState({}, "", url);
    else history.replaceState(history.state, "", url);
    document.getElementById("found").textContent = found.querySelector("#moments caption")?.textContent ?? found.querySelector("#moments h2")?.textContent ?? "";
    await enhanced(document.querySelector("main"));
    count();
  } catch {
    location.assign(url);
  }
}

function urlOf(form) {
  const asked = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  return asked.size ? `${form.action}?${asked}` : form.action;
}

let typing;
document.addEventListener("input", (event) => {
  const form = event.target.closest?.("form[data-list]");
  if (!form || event.target.type !== "search" || panelOpen() || event.isComposing) return;
  clearTimeout(typing);
  typing = setTimeout(() => show(urlOf(form), { push: false, form: false }), TYPING);
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest?.("form[data-list]");
  if (!form || panelOpen()) return;
  event.preventDefault();
  clearTimeout(typing);
  const url = urlOf(form);
  if (url !== location.href) show(url, { form: false });
});

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.button || panelOpen()) return;
  const anchor = event.target.closest?.("#moments :is(thead a, .chips a, .pager a, a[data-list])");
  if (!anchor) return;
  event.preventDefault();
  const sorted = anchor.closest("th") && [...anchor.closest("tr").children].indexOf(anchor.closest("th"));
  show(anchor.href).then(() => {
    const head = sorted ? list.querySelector("thead tr")?.children[sorted]?.querySelector("a") : null;
    (head ?? list).focus();
  });
});

// Choosing several.

const boxes = () => [...list.querySelectorAll('tbody input[name="id"]')];

function count() {
  const bar = document.getElementById("bulk");
  if (!bar) return;
  const chosen = boxes().filter((box) => box.checked).length;
  const words = document.getElementById("bulk-count");
  words.textContent = chosen === 1 ? words.dataset.one : words.dataset.other.replace("#", chosen);
  bar.hidden = chosen === 0;
  const all = document.getElementById("pick-all");
  if (!all) return;
  all.checked = chosen > 0 && chosen === boxes().length;
  all.indeterminate = chosen > 0 && !all.checked;
}

document.addEventListener("change", (event) => {
  if (event.target.id === "pick-all") boxes().forEach((box) => { box.checked = event.target.checked; });
  if (event.target.closest?.("table.moments")) count();
});
addEventListener("pageshow", count);

const told = document.querySelector("[data-address]");
if (told) history.replaceState(history.state, "", told.dataset.address);
count();
if (document.querySelector("#figures-age .away")) refresh();
repeat();
