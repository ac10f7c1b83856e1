// The live list: asks every second for what has come since, and holds still while somebody looks at a row.
import { ask, documentOf } from "../asking.js";
import { saySignedOut } from "../notices.js";

const EVERY = 1000;
const WHEN_AWAY = 5000;
const MOST_ROWS = 200;

class List {
  constructor(element) {
    this.element = element;
    this.latest = element.dataset.latest;
    this.body = element.querySelector("tbody");
    this.frame = element.querySelector(".table-frame");
    this.button = document.getElementById("pause");
    this.state = document.getElementById("live-state");
    this.stale = document.getElementById("stale");
    this.waiting = [];
    this.stopped = false;
    this.button.addEventListener("click", () => this.stop(!this.stopped));
    for (const [event, held] of [["pointerenter", true], ["pointerleave", false], ["focusin", true], ["focusout", false]]) {
      this.frame.addEventListener(event, () => { this.held = held; this.settle(); });
    }
    this.settle();
    this.look();
  }

  get still() {
    return this.stopped || this.held;
  }

  stop(stopped) {
    this.stopped = stopped;
    this.button.setAttribute("aria-pressed", String(stopped));
    this.button.querySelector("span").textContent = this.button.dataset[stopped ? "goOn" : "pause"];
    this.settle();
  }

  settle() {
    if (!this.still) this.show();
    const state = this.stopped ? "paused" : this.held ? "held" : "live";
    const { wordLive, wordHeld, wordPaused, wordFresh } = this.element.dataset;
    const fresh = this.waiting.length ? ` · ${wordFresh.replace("#", this.waiting.length)}` : "";
    const words = { live: wordLive, held: wordHeld, paused: wordPaused }[state] + fresh;
    if (this.state.textContent !== words) this.state.textContent = words;
    this.state.dataset.state = state;
  }

  async look() {
    const worked = document.hidden || (await this.ask());
    this.stale.hidden = worked;
    setTimeout(() => this.element.isConnected && this.look(), worked ? EVERY : WHEN_AWAY);
  }

  async ask() {
    const url = new URL(this.element.dataset.news, location.href);
    url.searchParams.set("after", this.latest);
    try {
      const answer = await ask(url);
      if (answer.status === 401) saySignedOut();
      if (!answer.ok) return false;
      this.take((await documentOf(answer)).querySelector("tbody[data-latest]"));
      return true;
    } catch {
      return false;
    }
  }

  take(found) {
    this.latest = found.dataset.latest || this.latest;
    if (found.hasAttribute("data-skipped")) document.getElementById("skipped").hidden = false;
    const known = new Set(this.waiting.map((row) => row.id));
    const rows = [...found.rows].filter((row) => !known.has(row.id) && !document.getElementById(row.id));
    this.waiting = [...rows, ...this.waiting].slice(0, MOST_ROWS);
    if (this.still && this.body.rows.length) this.settle();
    else this.show();
  }

  show() {
    if (this.waiting.length) {
      this.waiting.forEach((row) => row.classList.add("news"));
      this.body.prepend(...this.waiting);
      this.waiting = [];
      [...this.body.rows].slice(MOST_ROWS).forEach((row) => row.remove());
      this.frame.hidden = false;
      this.element.querySelector("[data-empty]")?.remove();
    }
  }
}

const element = document.getElementById("signal-list");
if (element?.dataset.news) new List(element);
