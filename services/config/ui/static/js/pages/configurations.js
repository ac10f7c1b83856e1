// The panel of an audience configuration: domains that are checked while they are typed, and snippets as tabs.
import { ask, documentOf } from "../asking.js";

const QUIET = 300;

function enhance(root) {
  root.querySelectorAll("[data-domains]").forEach(watchDomains);
  root.querySelectorAll("[data-tabs]").forEach(makeTabs);
}

function watchDomains(section) {
  if (section.dataset.watched) return;
  section.dataset.watched = "yes";
  const area = section.querySelector("textarea");
  const place = section.querySelector("#domain-check");
  let timer;
  let asked = 0;
  const check = async () => {
    const turn = ++asked;
    try {
      const answer = await ask(section.dataset.domains, { method: "POST", body: new URLSearchParams({ domains: area.value }) });
      if (answer.ok && turn === asked) place.replaceChildren(...(await documentOf(answer)).body.childNodes);
    } catch {
      // the form is checked again when it is saved
    }
  };
  area.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(check, QUIET);
  });
  place.addEventListener("click", (event) => {
    const button = event.target.closest("[data-remove]");
    if (!button) return;
    const lines = area.value.split("\n");
    const at = lines.findIndex((line) => line.trim() === button.dataset.remove);
    if (at < 0) return;
    lines.splice(at, 1);
    area.value = lines.join("\n");
    area.focus();
    check();
  });
}

function makeTabs(box) {
  if (box.dataset.made) return;
  box.dataset.made = "yes";
  const tabs = [...box.querySelectorAll('[role="tab"]')];
  const panels = tabs.map((tab) => document.getElementById(tab.getAttribute("aria-controls")));
  panels.forEach((panel, at) => {
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tabs[at].id);
  });
  const choose = (at, focus) => {
    tabs.forEach((tab, each) => {
      tab.setAttribute("aria-selected", String(each === at));
      tab.tabIndex = each === at ? 0 : -1;
      panels[each].hidden = each !== at;
    });
    if (focus) tabs[at].focus();
  };
  tabs.forEach((tab, at) => {
    tab.addEventListener("click", () => choose(at));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      choose((to + tabs.length) % tabs.length, true);
    });
  });
  choose(0);
}

document.addEventListener("enhance", (event) => enhance(event.target));
enhance(document.body);
