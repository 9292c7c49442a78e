// The payer's page, made livelier: copy buttons, a countdown, the wallet of the browser, a look at the status every few
// seconds. Without this script (blocked, too old a browser) the page reloads itself and says the same. All words come from the page.
"use strict";

(() => {
  const HIDDEN_PAUSE = 20_000;
  const LONGEST_PAUSE = 30_000;
  const PATIENCE = 10_000;
  const SECONDS_TO_LEAVE = 10;
  const SILENT_FAILURES = 1;
  const LONGEST_REASON = 160;
  // Where the time to pay is over, the page looks more slowly, and after this long no more until somebody comes back.
  const SLOW = 10_000;
  const WATCH_FOR = 2 * 3600_000;

  const byId = (id) => document.getElementById(id);
  const words = byId("words").dataset;
  let main = byId("payment");

  function say(text) {
    byId("announcer").textContent = text;
  }

  // What is filled in keeps its own direction in right-to-left text.
  const [isolate, endOfIsolate] = document.dir === "rtl" ? ["\u2068", "\u2069"] : ["", ""];
  const fill = (text, name, value) => text.replace(`{${name}}`, () => isolate + value + endOfIsolate);

  function remember(key, value) {
    try {
      if (value === null) sessionStorage.removeItem(key);
      else if (value) sessionStorage.setItem(key, value);
      return sessionStorage.getItem(key);
    } catch {
      return null; // storage is switched off
    }
  }

  // --- Time: the server's clock counts, a payer's may be wrong by hours ---------------------------------------------

  let aheadOfUs = 0;
  let warned = false;

  function setClock(serverTime) {
    const time = Date.parse(serverTime);
    if (time) aheadOfUs = time - Date.now();
  }

  function secondsLeft() {
    const limit = byId("expires")?.dateTime;
    return limit && Math.max(0, Math.ceil((Date.parse(limit) - Date.now() - aheadOfUs) / 1000));
  }

  function clock(seconds) {
    const two = (number) => String(Math.floor(number)).padStart(2, "0");
    const hours = seconds >= 3600 ? `${Math.floor(seconds / 3600)}:` : "";
    return `${hours}${two((seconds % 3600) / 60)}:${two(seconds % 60)}`;
  }

  function tick() {
    const left = secondsLeft();
    if (left === undefined) return;
    byId("countdown").textContent = clock(left);
    byId("countdown").classList.toggle("soon", left <= 60);
    byId("until").textContent = byId("until").dataset.countdown;
    if (left <= 60 && left > 0 && !warned) {
      warned = true;
      say(words.minuteLeft);
    }
  }

  function writeLocalTimes() {
    const language = `${document.documentElement.dataset.formats}-u-ca-gregory-nu-latn`;
    const style = { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short" };
    for (const time of main.querySelectorAll("time")) {
      time.textContent = new Intl.DateTimeFormat(language, style).format(new Date(time.dateTime));
    }
  }

  // --- Looking at the status ----------------------------------------------------------------------------------------

  let failures = 0;
  let refusals = 0;
  let askedPause = 0;
  let crowdPause = 0;
  let looking = false;
  let timer;
  let newsAt = Date.now();

  async function load(url, headers) {
    const abort = new AbortController();
    const alarm = setTimeout(() => abort.abort(), PATIENCE);
    try {
      const response = await fetch(url, { headers, signal: abort.signal });
      if (!response.ok && response.status !== 304) {
        askedPause = 1000 * Number(response.headers.get("Retry-After")) || 0;
        throw Object.assign(new Error(response.status), { isBusy: response.status === 429 });
      }
      return { response, text: await response.text() };
    } finally {
      clearTimeout(alarm);
    }
  }

  async function look() {
    if (looking || !Number(main.dataset.poll)) return;
    looking = true;
    clearTimeout(timer);
    try {
      const { response } = await load(main.dataset.status, { "If-None-Match": main.dataset.version });
      setClock(response.headers.get("X-Server-Time"));
      // While very many pages are open, the server asks each to look less often.
      crowdPause = 1000 * Number(response.headers.get("X-Poll-Seconds")) || 0;
      if (response.status !== 304 || secondsLeft() === 0) await redraw();
      [failures, refusals] = [0, 0];
    } catch (error) {
      // Too many pages are open in this network: the server is there, and only asks for patience.
      [failures, refusals] = error.isBusy ? [0, refusals + 1] : [failures + 1, 0];
    }
    looking = false;
    showConnection(failures <= SILENT_FAILURES);
    plan();
  }

  function plan() {
    clearTimeout(timer);
    const asked = Number(main.dataset.poll);
    const usual = asked && Math.max(asked, Math.min(crowdPause, LONGEST_PAUSE));
    if (!usual || (asked > SLOW && Date.now() - newsAt > WATCH_FOR)) return;
    const tries = failures + refusals;
    const longer = Math.max(askedPause, Math.min(LONGEST_PAUSE, usual * 2 ** tries));
    // Pages that were refused together don't come back together.
    const pause = tries ? longer * (refusals ? 1 + Math.random() / 2 : 1) : usual;
    timer = setTimeout(look, document.hidden ? Math.max(HIDDEN_PAUSE, pause) : pause);
  }

  function showConnection(isFine) {
    const notice = byId("connection");
    if (notice.hidden === isFine) return;
    notice.hidden = isFine;
    say(isFine ? words.connectionBack : notice.textContent);
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
    if (next.querySelector(".again") && main.querySelector(".again[open]")) next.querySelector(".again").open = true;
    main.replaceWith(next);
    main = next;
    document.title = page.title;
    if (held) (byId(held) || main).focus({ preventScroll: true });
    if (main.dataset.headline !== told) say(main.dataset.headline);
    newsAt = Date.now();
    begin();
  }

  function begin() {
    setClock(main.dataset.now);
    warned = false;
    writeLocalTimes();
    tick();
    showWallets();
    leave();
  }

  // --- Back to the shop: once only, and not against the payer's will -------------------------------------------------

  let leaving;

  function leave() {
    clearInterval(leaving);
    const url = main.dataset.leave;
    const key = `left ${location.pathname}`;
    // In a frame only a click may take the whole page along.
    if (!url || window.top !== window || remember(key)) return;
    let left = SECONDS_TO_LEAVE;
    byId("leaving").hidden = false;
    byId("leaving-time").textContent = clock(left);
    leaving = setInterval(() => {
      left -= 1;
      byId("leaving-time").textContent = clock(Math.max(0, left));
      if (left > 0) return;
      clearInterval(leaving);
      remember(key, "yes");
      location.assign(url);
    }, 1000);
  }

  function stay() {
    clearInterval(leaving);
    remember(`left ${location.pathname}`, "stay");
    byId("leaving").hidden = true;
    byId("back").focus();
  }

  // --- Copying ------------------------------------------------------------------------------------------------------

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
    label.textContent = done ? words.copied : words.selected;
    button.classList.toggle("copied", done);
    say(label.textContent);
    setTimeout(() => {
      label.textContent = words.copy;
      button.classList.remove("copied");
    }, 2000);
  }

  // --- The wallet of the browser: EIP-6963 finds it, EIP-1193 talks to it ---------------------------------------------

  const REFUSED = 4001;
  const PENDING = -32002;
  // Not known (EIP-3085), not connected to, or no way to switch to it (EIP-1193, JSON-RPC): adding the chain may help.
  const MAY_BE_ADDED = new Set([4902, 4901, 4200, -32601]);
  const wallets = new Map();
  let paying = false;

  function announce(text, account) {
    const state = byId("wallet-state");
    if (state) state.textContent = account ? `${text} ${fill(words.walletFrom, "account", `${account.slice(0, 6)}…${account.slice(-4)}`)}` : text;
  }

  const sentKey = () => `sent ${location.pathname} ${byId("wallets").dataset.units}`;

  function showWallets() {
    const place = byId("wallets");
    if (!place) return;
    const found = [...wallets.values()];
    if (!found.length && window.ethereum?.request) found.push({ info: { name: words.walletBrowser, icon: "" }, provider: window.ethereum });
    const sent = remember(sentKey());
    place.hidden = !found.length;
    // With a wallet in the page there is no need for an app that has one; this may be its very browser.
    if (byId("apps")) byId("apps").hidden = Boolean(found.length);
    place.replaceChildren(...(sent ? [againButton()] : found.map(walletButton)));
    if (sent) announce(words.walletSent);
  }

  function walletButton({ info, provider }, number) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "button wallet-button", id: `wallet-${number}`, disabled: paying });
    if (/^data:image\//.test(info.icon)) {
      const icon = Object.assign(new Image(24, 24), { src: info.icon, alt: "" });
      button.append(icon);
    }
    button.append(fill(words.walletPay, "wallet", String(info.name).slice(0, 40)));
    button.addEventListener("click", () => pay(provider));
    return button;
  }

  function againButton() {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "button quiet", textContent: words.walletAgain });
    button.addEventListener("click", () => {
      remember(sentKey(), null);
      announce("");
      showWallets();
    });
    return button;
  }

  async function pay(provider) {
    if (paying) return;
    paying = true;
    showWallets();
    const { chain, to, value, data } = byId("wallets").dataset;
    const key = sentKey();
    try {
      announce(words.walletConfirm);
      await provider.request({ method: "eth_requestAccounts" });
      if (!(await chooseChain(provider, chain))) {
        announce(words.walletNoNetwork);
        return;
      }
      // Asked anew: the payer may have changed the account meanwhile.
      const [from] = await provider.request({ method: "eth_accounts" });
      // The page may have changed too, and ask for another amount now, or for none.
      if (!byId("wallets") || sentKey() !== key) return;
      announce(words.walletConfirm, from);
      const transaction = { from, to, value, ...(data === "0x" ? {} : { data }) };
      const hash = await provider.request({ method: "eth_sendTransaction", params: [transaction] });
      remember(key, String(hash));
      announce(words.walletSent);
      look();
    } catch (error) {
      announce(whatWentWrong(error));
    } finally {
      paying = false;
      showWallets();
    }
  }

  // True only once the wallet itself says that it is there.
  async function chooseChain(provider, chainId) {
    const isThere = async () => BigInt(await provider.request({ method: "eth_chainId" })) === BigInt(chainId);
    if (await isThere()) return true;
    announce(words.walletSwitch);
    try {
      await provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId }] });
    } catch (error) {
      const { add } = byId("wallets").dataset;
      if (!MAY_BE_ADDED.has(codeOf(error))) throw error;
      if (!add) return false;
      await provider.request({ method: "wallet_addEthereumChain", params: [JSON.parse(add)] });
      if (await isThere()) return true;
      try {
        await provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId }] });
      } catch (again) {
        if (!MAY_BE_ADDED.has(codeOf(again))) throw again;
      }
    }
    return isThere();
  }

  // Some wallets wrap the node's error, or another one of theirs, in one that only says "Internal error".
  const codeOf = (error) => error?.data?.originalError?.code ?? error?.code;

  function whatWentWrong(error) {
    if (codeOf(error) === REFUSED) return words.walletRefused;
    if (codeOf(error) === PENDING) return words.walletPending;
    const reason = error?.data?.originalError?.message || error?.data?.message || error?.message || error?.code || error;
    return fill(words.walletFailed, "reason", String(reason).slice(0, LONGEST_REASON));
  }

  addEventListener("eip6963:announceProvider", ({ detail }) => {
    if (!detail?.info?.uuid || typeof detail.provider?.request !== "function" || wallets.has(detail.info.uuid)) return;
    wallets.set(detail.info.uuid, detail);
    // What the payer was told about is another account's or another network's affair now.
    detail.provider.on?.("accountsChanged", () => paying || announce(""));
    showWallets();
  });
  // Wallets from before EIP-6963 may put themselves there only after the page (MetaMask's detect-provider waits for it).
  addEventListener("ethereum#initialized", showWallets);
  // Others come late and say nothing; once there is a button, it stays as it is, and keeps the focus.
  const lookForWallet = () => byId("wallets")?.hidden && window.ethereum?.request && showWallets();

  // --- Events -------------------------------------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
    if (event.target.closest("#stay")) stay();
    if (event.target.closest("#print")) print();
    const swap = event.target.closest("[data-swap]");
    if (swap && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      history.replaceState(null, "", swap.href);
      redraw().catch(() => location.reload());
    }
  });
  document.addEventListener("submit", (event) => {
    event.target.querySelector("button").disabled = true;
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) look();
  });
  addEventListener("online", look);
  addEventListener("pageshow", (event) => {
    // Out of the browser's memory everything is as it was left, buttons too.
    if (event.persisted) redraw().then(plan, () => location.reload());
  });
  setInterval(() => {
    tick();
    lookForWallet();
  }, 500);

  begin();
  plan();
  // Last, so that a script that fails in an old browser leaves the page to reload itself.
  document.documentElement.classList.add("js");
  dispatchEvent(new Event("eip6963:requestProvider"));
})();
