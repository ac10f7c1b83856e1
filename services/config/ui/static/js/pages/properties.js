// The properties of a moment: faults as one leaves a field, the effect while one types, parts put in place.
import { ask, documentOf } from "../asking.js";
import { isDirty } from "../forms.js";
import { saySignedOut, sayUnreachable } from "../notices.js";

const PAUSE = 350;
const known = new WeakSet();

/** Bring the form of the panel to life. */
export function enhance(head) {
  const form = head.closest("#panel").querySelector("form[data-check]");
  if (!form || known.has(form)) return;
  known.add(form);
  const asked = { left: new Set(), check: null, impact: null, timer: 0 };
  form.addEventListener("input", () => later(form, asked));
  form.addEventListener("change", () => later(form, asked));
  form.addEventListener("focusout", (event) => leave(form, asked, event));
  form.addEventListener("submit", (event) => replacePart(form, event), true);
  offerZones(form);
  showImpact(form, asked);
}

function later(form, asked) {
  document.getElementById("unsaved").hidden = !isDirty(form);
  clearTimeout(asked.timer);
  asked.timer = setTimeout(() => look(form, asked), PAUSE);
}

// A fault is shown once its control has been left, not while it is being filled in.
function leave(form, asked, event) {
  if (!event.target.matches?.("input, select, textarea") || !isDirty(form)) return;
  asked.left.add(event.target.id);
  clearTimeout(asked.timer);
  look(form, asked);
}

function look(form, asked) {
  check(form, asked);
  showImpact(form, asked);
}

async function posted(form, url, control, submitter) {
  const body = new URLSearchParams(new FormData(form, submitter));
  const answer = await ask(url, { method: "POST", body, signal: control.signal });
  if (answer.status === 401) saySignedOut();
  return answer.ok ? documentOf(answer) : null;
}

async function check(form, asked) {
  asked.check?.abort();
  asked.check = new AbortController();
  try {
    const found = await posted(form, form.dataset.check, asked.check);
    if (!found || !form.isConnected) return;
    for (const part of found.querySelectorAll("[data-renewed]")) put(document.getElementById(part.id), part);
    for (const fault of found.querySelectorAll(".fault-text")) tell(asked, fault, found);
  } catch (error) {
    if (error.name !== "AbortError") sayUnreachable();
  }
}

// What has the focus, or is as it was, is left alone.
function put(place, part) {
  if (place && !place.contains(document.activeElement) && place.innerHTML !== part.innerHTML) place.replaceWith(part);
}

function tell(asked, fault, found) {
  const place = document.getElementById(fault.id);
  if (!place) return;
  const controls = found.querySelectorAll(`[aria-describedby~="${CSS.escape(fault.id)}"]`);
  const left = [...controls].some((control) => control.hasAttribute("aria-invalid") && asked.left.has(control.id)) || !place.hidden;
  if (!fault.hidden && !left) return;
  place.hidden = fault.hidden;
  place.querySelector("span").textContent = fault.querySelector("span").textContent;
  for (const control of controls) {
    const invalid = control.getAttribute("aria-invalid");
    const there = document.getElementById(control.id);
    if (invalid) there?.setAttribute("aria-invalid", invalid);
    else there?.removeAttribute("aria-invalid");
  }
}

async function showImpact(form, asked) {
  const place = document.getElementById("impact");
  if (!place) return;
  asked.impact?.abort();
  asked.impact = new AbortController();
  place.setAttribute("aria-busy", "true");
  try {
    const found = await posted(form, form.dataset.impact, asked.impact);
    if (found) place.replaceChildren(...found.body.childNodes);
    place.removeAttribute("aria-busy");
  } catch (error) {
    if (error.name !== "AbortError") place.removeAttribute("aria-busy");
  }
}

// Buttons with `data-replaces="id"` send the whole form, and take that element alone out of the answer.
async function replacePart(form, event) {
  const button = event.submitter;
  const id = button?.dataset.replaces;
  if (!id) return;
  event.preventDefault();
  event.stopPropagation();
  button.setAttribute("aria-busy", "true");
  try {
    const found = await posted(form, button.formAction, new AbortController(), button);
    if (!found) return sayUnreachable();
    const place = document.getElementById(id);
    const part = found.getElementById(id);
    if (part) takeValues(place, part);
    else place.replaceChildren(...found.body.childNodes);
    const { enhance: enhanceAll } = await import("../app.js");
    enhanceAll(place);
    form.dispatchEvent(new Event("change"));
    (place.querySelector("input:not([type=hidden]), select, textarea, [tabindex]") ?? place).focus();
  } catch {
    sayUnreachable();
  } finally {
    button.removeAttribute("aria-busy");
  }
}

// Another value in the same controls: they keep what scripts know of them.
function takeValues(place, part) {
  for (const control of part.querySelectorAll("[id]")) {
    const there = place.querySelector(`#${CSS.escape(control.id)}`);
    if (there?.matches("input, select, textarea")) there.value = control.value;
  }
  const boxes = [...place.querySelectorAll("input[type=checkbox]")];
  for (const box of boxes) {
    box.checked = Boolean(part.querySelector(`input[type=checkbox][value="${CSS.escape(box.value)}"]`)?.checked);
  }
}

// The browser knows the zones: a list of six hundred names need not be sent with every page.
function offerZones(form) {
  const list = form.querySelector("#zones");
  form.querySelector("[data-zones]")?.addEventListener("focus", () => {
    for (const zone of Intl.supportedValuesOf?.("timeZone") ?? []) {
      const option = document.createElement("option");
      option.value = zone;
      list.append(option);
    }
  }, { once: true });
}
