// Times that grow older while they are looked at, and the viewer's zone.
import { word } from "./words.js";

const UNITS = [["D", 86400], ["H", 3600], ["M", 60], ["S", 1]];

/** How long ago an instant is, in one unit. */
export function agoWords(then, now = Date.now()) {
  const seconds = Math.trunc((now - then) / 1000);
  const size = Math.abs(seconds);
  if (size < 1) return word("now");
  const [unit, length] = UNITS.find(([, each]) => size >= each);
  return word((seconds > 0 ? "ago" : "ahead") + unit).replace("#", Math.trunc(size / length));
}

function refresh(root) {
  for (const time of root.querySelectorAll("time[data-ago]")) {
    const words = agoWords(Date.parse(time.dateTime));
    if (time.textContent !== words) time.textContent = words;
  }
}

/** Keep the ages of a part of the page true. */
export function enhanceTimes(root) {
  refresh(root);
}

setInterval(() => document.hidden || refresh(document), 1000);

/** Tell the server the time zone of this browser; the next page shows its times in it. */
export function tellZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone || document.cookie.includes("moments_zone=")) return;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `moments_zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}
