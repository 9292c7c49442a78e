// The payer's page, made livelier: copy buttons, a countdown, a look at the status every few seconds. Without this
// script the page reloads itself and says the same.
"use strict";

(() => {
  const HIDDEN_PAUSE = 20_000;
  const LONGEST_PAUSE = 30_000;
  const PATIENCE = 10_000;
  const FAREWELL = 3_000;
  const SILENT_FAILURES = 1;

  const byId = (id) => document.getElementById(id);
  let main = byId("payment");
  let aheadOfUs = 0;
  let failures = 0;
  let askedPause = 0;
  let looking = false;
  let timer;
  let warned = false;

  document.documentElement.classList.add("js");

  function say(text) {
    byId("announcer").textContent = text;
  }

  // The server's clock counts: a payer's may be wrong by hours.
  function setClock(serverTime) {
    const time = Date.parse(serverTime);
    if (time) aheadOfUs = time - Date.now();
  }

  function secondsLeft() {
    const limit = byId("countdown")?.previousElementSibling.dateTime;
    return limit && Math.max(0, Math.ceil((Date.parse(limit) - Date.now() - aheadOfUs) / 1000));
  }

  async function load(url, headers) {
    const abort = new AbortController();
    const alarm = setTimeout(() => abort.abort(), PATIENCE);
    try {
      const response = await fetch(url, { headers, signal: abort.signal });
      if (!response.ok && response.status !== 304) {
        askedPause = 1000 * Number(response.headers.get("Retry-After")) || 0;
        throw new Error(response.status);
      }
      return { response, text: await response.text() };
    } finally {
      clearTimeout(alarm);
    }
  }

  async function look() {
    if (looking) return;
    looking = true;
    clearTimeout(timer);
    try {
      const { response } = await load(main.dataset.status, { "If-None-Match": main.dataset.version });
      setClock(response.headers.get("X-Server-Time"));
      if (response.status !== 304 || secondsLeft() === 0) await redraw();
      failures = 0;
    } catch {
      failures += 1;
    }
    looking = false;
    showConnection(failures <= SILENT_FAILURES);
    plan();
  }

  function plan() {
    const usual = Number(main.dataset.poll);
    if (!usual) return;
    const pause = failures ? Math.max(askedPause, Math.min(LONGEST_PAUSE, usual * 2 ** failures)) : usual;
    timer = setTimeout(look, document.hidden ? Math.max(HIDDEN_PAUSE, pause) : pause);
  }

  function showConnection(isFine) {
    const notice = byId("connection");
    if (notice.hidden === isFine) return;
    notice.hidden = isFine;
    say(isFine ? "Connected again" : notice.textContent);
  }

  // The server draws the page; this puts it in place of the old one, keeping the shop's header and the focus.
  async function redraw() {
    const { text } = await load(location.href, { Accept: "text/html" });
    const page = new DOMParser().parseFromString(text, "text/html");
    const next = page.getElementById("payment");
    if (!next) throw new Error("not the page");
    const held = main.contains(document.activeElement) ? document.activeElement.id : "";
    const header = main.querySelector("header");
    if (header) next.querySelector("header")?.replaceWith(header);
    const told = main.dataset.headline;
    main.replaceWith(next);
    main = next;
    document.title = page.title;
    if (held) (byId(held) || main).focus({ preventScroll: true });
    if (main.dataset.headline !== told) say(main.dataset.headline);
    begin();
  }

  function begin() {
    setClock(main.dataset.now);
    warned = false;
    tick();
    leave();
  }

  function tick() {
    const left = secondsLeft();
    if (left === undefined) return;
    const clock = byId("countdown");
    const two = (number) => String(Math.floor(number)).padStart(2, "0");
    const hours = left >= 3600 ? `${Math.floor(left / 3600)}:` : "";
    clock.textContent = `${hours}${two((left % 3600) / 60)}:${two(left % 60)}`;
    byId("until").textContent = byId("until").dataset.countdown;
    clock.classList.toggle("soon", left <= 60);
    if (left <= 60 && left > 0 && !warned) {
      warned = true;
      say(`${left} seconds left to pay`);
    }
  }

  // Once only: who comes back from the shop wants to read this page.
  function leave() {
    const url = main.dataset.leave;
    const key = `left ${location.pathname}`;
    if (!url || remember(key)) return;
    byId("leaving").hidden = false;
    setTimeout(() => {
      remember(key, "yes");
      location.assign(url);
    }, FAREWELL);
  }

  function remember(key, value) {
    try {
      return value ? sessionStorage.setItem(key, value) : sessionStorage.getItem(key);
    } catch {
      return null; // storage is switched off
    }
  }

  async function copy(button) {
    const source = byId(button.dataset.copy);
    let done = true;
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // No clipboard on plain http: select what stands there, and copy that.
      getSelection().selectAllChildren(source);
      done = document.execCommand("copy");
    }
    const label = button.firstElementChild;
    label.textContent = done ? "Copied" : "Selected";
    button.classList.toggle("copied", done);
    say(label.textContent);
    setTimeout(() => {
      label.textContent = "Copy";
      button.classList.remove("copied");
    }, 2000);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });
  document.addEventListener("submit", (event) => {
    event.target.querySelector("button").disabled = true;
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) look();
  });
  addEventListener("online", look);
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  setInterval(tick, 500);

  begin();
  plan();
})();
