// Forms: nothing typed is lost. A form with `data-guard` asks before it is left, and is sent without leaving the page.
import { ask, documentOf } from "./asking.js";
import { saySignedOut, sayUnreachable } from "./notices.js";
import { word } from "./words.js";

const known = new WeakSet();
const written = (form) => new URLSearchParams(new FormData(form)).toString();

/** Whether a form holds what is not saved. */
export const isDirty = (form) => form.dataset.start !== undefined && form.dataset.start !== written(form);

/** The guarded forms of the page that hold what is not saved. */
export const dirtyForms = () => [...document.querySelectorAll("form[data-guard]")].filter(isDirty);

/** Whether the page may be left: nothing is unsaved, or the person says so. */
export const mayLeave = () => !dirtyForms().length || window.confirm(word("unsaved"));

/** Ask before the page is closed or left. */
export function guardLeaving() {
  addEventListener("beforeunload", (event) => {
    if (dirtyForms().length) event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const anchor = event.target.closest?.("a[href]");
    if (!anchor || anchor.target || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (anchor.origin !== location.origin || anchor.hash && anchor.pathname === location.pathname) return;
    const left = dirtyForms();
    if (!left.length) return;
    if (window.confirm(word("unsaved"))) left.forEach(forget);
    else event.preventDefault();
  }, true);
}

/** Take a form as saved. */
export function forget(form) {
  delete form.dataset.start;
}

/** Watch the forms of a part of the page. */
export function enhanceForms(root) {
  for (const form of root.querySelectorAll("form")) {
    if (known.has(form)) continue;
    known.add(form);
    if (form.hasAttribute("data-guard")) {
      if (!form.hasAttribute("data-changed")) form.dataset.start = written(form);
      else form.dataset.start = "";
      form.addEventListener("submit", send);
    }
    if (form.hasAttribute("data-submit-on-change")) {
      form.addEventListener("change", () => form.requestSubmit());
    }
  }
  for (const focused of root.querySelectorAll("[data-focus]")) focused.focus();
}

async function send(event) {
  const form = event.target;
  if (event.defaultPrevented) return;
  event.preventDefault();
  const button = event.submitter;
  const body = new URLSearchParams(new FormData(form, button));
  button?.setAttribute("aria-busy", "true");
  try {
    const answer = await ask(button?.hasAttribute("formaction") ? button.formAction : form.action, { method: "POST", body });
    if (answer.status === 401) saySignedOut();
    else if (answer.redirected) {
      forget(form);
      location.assign(answer.url);
    } else await replace(form, answer);
  } catch {
    sayUnreachable();
  } finally {
    button?.removeAttribute("aria-busy");
  }
}

async function replace(form, answer) {
  const found = await documentOf(answer);
  const place = form.closest("#panel, dialog form, main") ?? document.body;
  const other = place.id ? found.getElementById(place.id) : null;
  if (!other) return answer.ok ? location.reload() : sayUnreachable();
  place.replaceWith(other);
  const { enhance } = await import("./app.js");
  enhance(other);
}
