// The web SDK of Moments: the global `Signals`. It keeps what is not confirmed in localStorage, sends it in batches
// with ids that make a repetition harmless, and never throws into the page that hosts it.
(() => {
  "use strict";
  const KINDS = __KINDS__;
  const VERSION = "__VERSION__";
  const ID_TYPES = { email: "email", externalId: "external", customerId: "external", phone: "phone", deviceId: "deviceId", appId: "appId" };
  const PROFILE_FIELDS = { email: "email", external: "customerId", phone: "phone", deviceId: "deviceId", appId: "appId" };
  const PREFIX = "moments:";
  const GATHER = 250, MOST_KEPT = 500, MOST_BYTES = 50000, MOST_KEPT_ALIVE = 60000, LONGEST_PAUSE = 300000;
  const ANONYMOUS_KEPT = 1800000, KEPT = 86400000, SESSION = 1800000;

  const was = window.Signals;
  if (was && typeof was.version === "string") return;
  const script = document.currentScript;
  const state = { key: "", endpoint: script && script.src ? new URL(script.src).origin : "", profile: null, consent: null, consentRequired: false, site: location.hostname, debug: false };
  let called = 0, timer = 0, attempts = 0, notBefore = 0, alone = 0, sending = false, kept = true, visit = null, warned = {};

  const say = (level, ...words) => { if (level !== "log" || state.debug) try { console[level]("[Signals]", ...words); } catch (_) { /* no console */ } };
  const once = (level, text) => { if (!warned[text]) { warned[text] = 1; say(level, text); } };

  // Storage: one entry for each signal, so that two tabs never overwrite each other's. Where it is blocked, memory.
  const memory = new Map();
  const put = (name, value) => {
    const text = JSON.stringify(value);
    try { localStorage.setItem(PREFIX + name, text); memory.delete(name); }
    catch (_) { memory.set(name, text); if (kept) { kept = false; say("log", "this browser keeps nothing; what is not sent is lost with the page"); } }
  };
  const get = (name) => {
    try { const text = memory.get(name) || localStorage.getItem(PREFIX + name); return text ? JSON.parse(text) : null; } catch (_) { return null; }
  };
  const drop = (name) => { memory.delete(name); try { localStorage.removeItem(PREFIX + name); } catch (_) { /* blocked */ } };
  const names = () => {
    const found = [...memory.keys()];
    try { for (let i = 0; i < localStorage.length; i++) { const name = localStorage.key(i); if (name && name.startsWith(PREFIX)) found.push(name.slice(PREFIX.length)); } } catch (_) { /* blocked */ }
    return found.filter((name) => name.startsWith("s:")).sort();
  };

  const uuid = () => {
    if (crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = bytes[6] & 15 | 64;
    bytes[8] = bytes[8] & 63 | 128;
    return [...bytes].map((byte, i) => ([4, 6, 8, 10].includes(i) ? "-" : "") + byte.toString(16).padStart(2, "0")).join("");
  };
  const allowed = () => state.consent !== false && (state.consent === true || !state.consentRequired);

  // The browsing session: an id that lives on while something happens at least every 30 minutes.
  const session = () => {
    const now = Date.now(), last = get("session") || visit;
    visit = { id: last && Math.abs(now - last.at) < SESSION ? last.id : uuid(), at: now };
    if (allowed()) put("session", visit);
    return visit.id;
  };

  const waiting = [];
  const track = (kind, data) => {
    if (data !== undefined && (data === null || typeof data !== "object" || Array.isArray(data))) return say("error", `${kind}: pass an object, such as { items: [ … ] }`);
    const signal = { id: uuid(), time: new Date(called || Date.now()).toISOString(), data: { signal: kind, site: state.site, ...automatic(kind), ...data } };
    if (!allowed()) {
      if (state.consent === false) return say("log", "no consent: not kept", kind);
      waiting.push(signal);
      if (waiting.length > MOST_KEPT) waiting.shift();
      return say("log", "waits for setConsent(true)", kind);
    }
    keep(signal);
  };
  const automatic = (kind) => {
    const own = kind.startsWith("cart/") || kind.endsWith("/view") ? { sessionId: session() } : {};
    return kind === "page/view" ? { ...own, url: location.href.split("#")[0], title: document.title } : own;
  };
  const keep = (signal) => {
    const copy = JSON.parse(JSON.stringify(signal));
    if (state.consent) copy.consent = true;
    if (state.profile) copy.data = { ...state.profile, ...copy.data };
    put(`s:${String(Date.now()).padStart(14, "0")}:${copy.id}`, { key: state.key, at: Date.now(), signal: copy });
    const all = names();
    if (all.length > MOST_KEPT) drop(all[0]);
    say("log", "kept", copy.data.signal, copy);
    if (!state.key) return once("error", 'no API key set: call Signals.setApiKey("pk_…") with the web key of an audience configuration');
    if (!known(copy)) return once("warn", "nobody is identified: signals wait (30 minutes) for Signals.identify({ email: … })");
    soon(GATHER);
  };
  const known = (signal) => Boolean(signal.data.idType || Object.values(PROFILE_FIELDS).some((field) => signal.data[field]));

  const soon = (pause) => {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; guarded(flush)(); }, Math.max(pause, notBefore - Date.now()));
  };

  const size = (text) => new TextEncoder().encode(text).length;

  // What can be sent now, oldest first, within the size that a browser still sends from a page that is being closed.
  const batch = () => {
    const taken = [], now = Date.now();
    let bytes = 0;
    for (const name of names()) {
      const entry = get(name);
      if (!entry || !entry.signal || !entry.signal.data || now - entry.at > KEPT) { drop(name); continue; }
      if (entry.key && entry.key !== state.key) continue;
      if (!known(entry.signal)) {
        if (now - entry.at > ANONYMOUS_KEPT) drop(name);
        if (!state.profile || now - entry.at > ANONYMOUS_KEPT) continue;
        entry.signal.data = { ...state.profile, ...entry.signal.data };
        put(name, { ...entry, key: state.key });
      }
      bytes += size(JSON.stringify(entry.signal));
      if (taken.length && (alone || bytes > MOST_BYTES)) break;
      taken.push([name, entry.signal]);
    }
    return taken;
  };
  const body = (taken) => JSON.stringify({ key: state.key, sentAt: new Date().toISOString(), signals: taken.map(([, signal]) => signal) });
  // Plain text is sent without asking the server first; the key travels in the body, never in the address.
  const post = (text) => fetch(`${state.endpoint}/v1/signals`, { method: "POST", body: text, keepalive: size(text) < MOST_KEPT_ALIVE, mode: "cors", credentials: "omit", cache: "no-store", headers: { "Content-Type": "text/plain;charset=UTF-8" } });

  const ready = () => state.key && state.endpoint && allowed();
  const flush = async () => {
    if (sending || !ready()) return;
    if (Date.now() < notBefore) return soon(0);
    sending = true;
    try {
      if (navigator.locks) await navigator.locks.request(`${PREFIX}send`, { ifAvailable: true }, (lock) => (lock ? send() : soon(1000)));
      else await send();
    } finally { sending = false; }
  };
  const send = async () => {
    const taken = batch();
    if (!taken.length) return;
    let answer;
    try { answer = await post(body(taken)); } catch (_) { return later("the server cannot be reached"); }
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok && ![400, 413, 415, 422].includes(answer.status)) {
      if (answer.status === 401 || answer.status === 403) once("error", `refused: ${told.detail || answer.status}`);
      return later(told.detail || answer.status, Number(answer.headers.get("Retry-After")) * 1000 || (answer.status < 429 ? LONGEST_PAUSE : 0));
    }
    attempts = 0;
    notBefore = 0;
    // Refused as a whole: each is sent alone, so that one that cannot be read does not take its neighbours along.
    if (!answer.ok && taken.length > 1) { alone = taken.length; return soon(0); }
    if (alone) alone--;
    const results = told.results || [];
    let again = false;
    taken.forEach(([name, signal], place) => {
      const result = results[place] || { status: answer.status, reason: told.detail };
      if (result.status === 503 || result.status === 429) { again = true; return; }
      drop(name);
      if (result.status === 200) say("log", "sent", signal.data.signal, signal.id);
      else say("error", `${signal.data.signal} was refused: ${result.reason}`, result.errors || "");
    });
    if (again) later("some could not be stored", Number(answer.headers.get("Retry-After")) * 1000);
    else if (names().length) soon(0);
  };
  const later = (why, asked) => {
    const pause = asked || Math.min(LONGEST_PAUSE, 1000 * 2 ** attempts++);
    notBefore = Date.now() + pause * (asked ? 1 + Math.random() / 4 : 0.5 + Math.random());
    say("log", `${why}; next try in ${Math.round((notBefore - Date.now()) / 1000)} s`);
    soon(0);
  };
  // The page goes: what is left is sent once more and stays kept; the next page repeats it, which does no harm.
  const leave = () => {
    if (!ready() || Date.now() < notBefore) return;
    const taken = batch();
    if (!taken.length) return;
    const text = body(taken);
    try { if (!navigator.sendBeacon || !navigator.sendBeacon(`${state.endpoint}/v1/signals`, text)) post(text).catch(() => {}); } catch (_) { /* gone */ }
  };

  const api = {
    version: VERSION,
    setApiKey(key, options) {
      if (typeof key !== "string" || !/^(pk|ak)_\w+$/.test(key)) return say("error", "setApiKey: pass the web key of an audience configuration, as pk_…");
      const given = options || {};
      state.key = key;
      if (given.endpoint) state.endpoint = String(given.endpoint).replace(/\/+$/, "");
      if (given.site) state.site = String(given.site);
      if (given.consentRequired !== undefined) state.consentRequired = Boolean(given.consentRequired);
      if (given.debug !== undefined) state.debug = Boolean(given.debug);
      if (!state.endpoint) say("error", "setApiKey: pass { endpoint: \"https://…\" }, as the script was not loaded from there");
      if (state.consent === null) state.consent = get("consent");
      if (!state.profile && allowed()) state.profile = get("profile");
      soon(GATHER);
    },
    identify(who) {
      const name = Object.keys(ID_TYPES).find((each) => who && who[each] !== undefined && who[each] !== null && who[each] !== "");
      if (!name) return say("error", "identify: pass one of { email, externalId, phone, deviceId, appId }");
      const type = ID_TYPES[name];
      state.profile = { idType: type, [PROFILE_FIELDS[type]]: who[name] };
      if (allowed()) put("profile", state.profile);
      soon(GATHER);
    },
    reset() {
      state.profile = null;
      drop("profile");
      drop("session");
      visit = null;
      names().forEach((name) => { const entry = get(name); if (entry && entry.signal && !known(entry.signal)) drop(name); });
    },
    setConsent(given) {
      state.consent = Boolean(given);
      if (state.consent) {
        put("consent", true);
        if (state.profile) put("profile", state.profile);
        waiting.splice(0).forEach(keep);
        return soon(GATHER);
      }
      waiting.length = 0;
      names().forEach(drop);
      ["profile", "session"].forEach(drop);
      put("consent", false);
    },
    debug(on) { state.debug = on !== false; },
    track(kind, data) {
      if (!Object.values(KINDS).includes(kind)) return say("error", `track: there is no kind of signal ${kind}`);
      track(kind, data);
    },
    flush() { return flush(); },
  };
  const guarded = (work) => (...given) => {
    try {
      const done = work(...given);
      return done && done.catch ? done.catch((error) => say("error", error)) : undefined;
    } catch (error) { say("error", error); }
  };
  for (const name of Object.keys(api)) if (typeof api[name] === "function") api[name] = guarded(api[name]);
  for (const name of Object.keys(KINDS)) api[name] = guarded((data) => track(KINDS[name], data));
  window.Signals = Object.freeze(api);

  addEventListener("pagehide", guarded(leave));
  document.addEventListener("visibilitychange", guarded(() => (document.hidden ? leave() : soon(0))));
  addEventListener("online", guarded(() => { attempts = 0; notBefore = 0; soon(0); }));
  // What was called before the script had come, each at its own time.
  const replay = guarded(([name, given, at]) => {
    called = at;
    (api[name] || (() => say("error", `there is no method ${String(name)}`)))(...given);
  });
  for (const call of (was && was.q) || []) replay(call);
  called = 0;
})();
