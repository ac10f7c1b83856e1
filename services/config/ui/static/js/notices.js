// Short messages at the foot of the page, and the tidying of addresses that told one.
import { word } from "./words.js";

/** Say something for some seconds; `link`: [text, url], opened in a new tab. */
export function say(text, { link = null, seconds = 6 } = {}) {
  const place = document.getElementById("toasts");
  const toast = document.createElement("p");
  toast.className = "toast";
  toast.append(text);
  if (link) {
    const anchor = document.createElement("a");
    [anchor.textContent, anchor.href] = link;
    anchor.target = "_blank";
    toast.append(" ", anchor);
  }
  place.replaceChildren(toast);
  setTimeout(() => toast.remove(), seconds * 1000);
}

/** Say that the session has ended; what was typed stays. */
export const saySignedOut = () => say(word("signedOut"), { link: [word("signIn"), "/sign-in"], seconds: 30 });

/** Say that the service does not answer. */
export const sayUnreachable = () => say(word("unreachable"), { seconds: 12 });

/** Take `?done=…` out of the address, so that a reload does not tell it again. */
export function tidyAddress() {
  const url = new URL(location.href);
  if (!url.searchParams.has("done")) return;
  url.searchParams.delete("done");
  history.replaceState(history.state, "", url);
}
