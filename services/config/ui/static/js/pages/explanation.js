// Counts down to the due of what waits, and looks once more as soon as it has come.
import { reload } from "../fragments.js";

const two = (number) => String(number).padStart(2, "0");

/** `1:02:09`, with the days before it when there are any. */
export function clock(milliseconds) {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  return `${days ? `${days} d ` : ""}${hours}:${two(minutes)}:${two(seconds % 60)}`;
}

function tick() {
  for (const place of document.querySelectorAll("[data-countdown]")) {
    const left = Date.parse(place.dataset.countdown) - Date.now();
    const words = clock(left);
    if (place.textContent !== words) place.textContent = words;
    if (left <= 0 && !place.dataset.asked) {
      place.dataset.asked = "yes";
      const part = place.closest("[data-fragment]");
      if (part) setTimeout(() => reload(part), 1500);
    }
  }
}

tick();
setInterval(() => document.hidden || tick(), 1000);
