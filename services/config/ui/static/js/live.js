// Parts of a page that follow the news: `data-live="/stream"` beside `data-fragment="/url"`. The stream says that something
// changed; the part is then loaded again, at most once in `data-live-every` seconds (1). Without a stream it is asked for
// every five seconds. While the tab is hidden nothing is asked for. `data-live-state`: `live`, `polling` or `paused`.
import { reload } from "./fragments.js";

const POLL = 5000;
const REFRESH = 20000;
const RETRY = 30000;
const following = new WeakMap();

class Follower {
  constructor(element) {
    this.element = element;
    this.pause = 1000 * (Number(element.dataset.liveEvery) || 1);
    this.last = Date.now();
    this.listen();
    this.beat = setInterval(() => this.look(), 1000);
    this.shown = () => (document.hidden ? this.rest() : this.wake());
    document.addEventListener("visibilitychange", this.shown);
    addEventListener("pagehide", () => this.source?.close());
  }

  listen() {
    this.source?.close();
    this.opened = Date.now();
    this.source = new EventSource(this.element.dataset.live);
    this.source.addEventListener("open", () => this.say("live"));
    this.source.addEventListener("changed", () => this.want());
    this.source.addEventListener("error", () => this.say("polling"));
  }

  /** Load it again as soon as the pause after the time before is over; many wishes are one. */
  want() {
    if (this.wish) return;
    this.wish = setTimeout(() => this.load(), Math.max(0, this.last + this.pause - Date.now()));
  }

  async load() {
    await reload(this.element);
    this.last = Date.now();
    this.wish = undefined;
  }

  look() {
    if (!this.element.isConnected) return this.end();
    if (document.hidden) return;
    const quiet = Date.now() - this.last;
    const live = this.source.readyState === EventSource.OPEN && !this.element.hasAttribute("data-stale");
    if (quiet >= Math.max(this.pause, live ? REFRESH : POLL)) this.want();
    if (this.source.readyState === EventSource.CLOSED && Date.now() - this.opened >= RETRY) this.listen();
  }

  rest() {
    this.source.close();
    clearTimeout(this.wish);
    this.wish = undefined;
    this.say("paused");
  }

  wake() {
    this.listen();
    this.want();
  }

  end() {
    this.source.close();
    clearInterval(this.beat);
    document.removeEventListener("visibilitychange", this.shown);
  }

  say(state) {
    this.element.dataset.liveState = state;
  }
}

/** Let the parts of a page follow the news. */
export function enhanceLive(root) {
  for (const element of [root, ...root.querySelectorAll("[data-live]")]) {
    if (element.dataset?.live && !following.has(element)) following.set(element, new Follower(element));
  }
}
