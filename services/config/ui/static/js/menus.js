// Menus close when one looks away; links with `data-dialog` open their page's form as a dialog.
import { ask, documentOf } from "./asking.js";

/** Close menus on Esc, on a click elsewhere and when the focus leaves; arrows move within. */
export function followMenus() {
  const opened = () => [...document.querySelectorAll("details.menu[open]")];
  document.addEventListener("click", (event) => {
    for (const menu of opened()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("focusin", (event) => {
    for (const menu of opened()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("toggle", (event) => {
    if (event.target.matches?.("details.menu") && event.target.open) place(event.target);
  }, true);
  document.addEventListener("keydown", (event) => {
    const menu = event.target.closest?.("details.menu[open]");
    if (!menu) return;
    if (event.key === "Escape") {
      menu.open = false;
      menu.querySelector("summary").focus();
      event.preventDefault();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const items = [...menu.querySelectorAll(".menu-items a, .menu-items button")];
      const step = event.key === "ArrowDown" ? 1 : -1;
      const next = items.indexOf(document.activeElement) + step;
      items.at(next < 0 ? -1 : next % items.length)?.focus();
      event.preventDefault();
    }
  });
}

// A menu in a table would be cut by the table's frame: it is placed over it.
function place(menu) {
  const items = menu.querySelector(".menu-items");
  const box = menu.getBoundingClientRect();
  const below = innerHeight - box.bottom;
  items.classList.toggle("upward", below < items.offsetHeight + 8 && box.top > items.offsetHeight);
}

/** Open confirmations as dialogs over the page. */
export function followDialogs(enhance) {
  document.addEventListener("click", async (event) => {
    const anchor = event.target.closest?.("a[data-dialog]");
    if (anchor && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      await open(anchor, enhance);
    }
    if (event.target.closest?.("dialog [data-dialog-close]")) {
      event.preventDefault();
      event.target.closest("dialog").close();
    }
  });
}

async function open(anchor, enhance) {
  try {
    const answer = await ask(anchor.href);
    const form = answer.ok && !answer.redirected ? (await documentOf(answer)).querySelector("[data-dialog-content]") : null;
    if (!form) return location.assign(anchor.href);
    const dialog = document.createElement("dialog");
    const heading = form.querySelector("h1, h2");
    if (heading) {
      heading.id ||= "dialog-title";
      dialog.setAttribute("aria-labelledby", heading.id);
    }
    dialog.append(form);
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (anchor.isConnected) anchor.focus();
    });
    dialog.showModal();
    enhance(dialog);
  } catch {
    location.assign(anchor.href);
  }
}
