// Buttons that copy: `data-copy="text"`, or `data-copy-from="#id"`.
import { say } from "./notices.js";
import { word } from "./words.js";

/** Copy and say so. */
export function followCopies() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy], [data-copy-from]");
    if (!button) return;
    const text = button.dataset.copy ?? document.querySelector(button.dataset.copyFrom).textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copyOld(text);
    }
    say(word("copied"), { seconds: 2 });
  });
}

// Where the page came by plain http from another machine, browsers have no clipboard for it.
function copyOld(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
