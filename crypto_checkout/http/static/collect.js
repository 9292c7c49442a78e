// Collecting from deposits with a wallet in the browser: EIP-6963 finds it, EIP-1193 talks to it. The wallet tries the
// call first; the page says what would move, where to and for what fee; then the wallet asks its owner.
"use strict";

(() => {
  const REFUSED = 4001;
  const PENDING = -32002;
  const UNKNOWN_CHAIN = 4902;
  const LONGEST_REASON = 160;
  const COIN_DECIMALS = 18;
  const SPARE_GAS = 10n;
  // collect(address,(address,bytes32[])[]) of the Collector.
  const SELECTOR = "6351ee22";
  const NO_TOKEN = "0".repeat(40);

  const wallets = new Map();
  const cards = () => document.querySelectorAll(".collect");
  let busy = false;

  function say(card, text) {
    card.querySelector(".state").textContent = text;
  }

  function show() {
    const found = [...wallets.values()];
    if (!found.length && window.ethereum?.request) found.push({ info: { name: "your wallet" }, provider: window.ethereum });
    for (const card of cards()) {
      card.querySelector(".wallets").replaceChildren(...found.map((wallet) => button(card, wallet)));
      card.querySelector(".no-wallet").hidden = found.length > 0;
    }
  }

  function button(card, { info, provider }) {
    const made = document.createElement("button");
    const name = `Collect with ${String(info.name).slice(0, 40)}`;
    Object.assign(made, { type: "button", className: "button", textContent: name, disabled: busy || card.dataset.sent });
    made.addEventListener("click", () => collect(card, provider));
    return made;
  }

  async function collect(card, provider) {
    if (busy) return;
    busy = true;
    show();
    try {
      await send(card, (method, ...params) => provider.request({ method, params }));
    } catch (error) {
      say(card, whatWentWrong(error));
    } finally {
      busy = false;
      show();
    }
  }

  async function send(card, ask) {
    const { chain, to, call, destination, moves, coin } = card.dataset;
    say(card, "Your wallet asks which account to use.");
    await ask("eth_requestAccounts");
    if (!(await chooseChain(card, ask, `0x${BigInt(chain).toString(16)}`))) {
      say(card, "Your wallet does not know this network. Add it there, and try again.");
      return;
    }
    // Asked anew: the owner may have changed the account meanwhile.
    const [from] = await ask("eth_accounts");
    const transaction = { from, to, data: call };
    const groups = decoded(card, call);
    say(card, "The call is tried, without sending it.");
    const answer = await ask("eth_call", transaction, "latest");
    if (answer === "0x") {
      say(card, "The contracts that collect are not on this network. “crypto-checkout collect setup” shows how to put them there.");
      return;
    }
    const moved = BigInt(answer);
    if (moved === 0n) {
      say(card, "Nothing would move now: it was collected meanwhile, or the tokens refuse. Nothing was sent.");
      return;
    }
    const gas = ((BigInt(await ask("eth_estimateGas", transaction)) * (100n + SPARE_GAS)) / 100n);
    const fee = `about ${shortened(gas * BigInt(await ask("eth_gasPrice")))} ${coin}`;
    const left = BigInt(moves) - moved;
    const stays = left > 0n ? ` ${left} can’t be moved now and ${left === 1n ? "stays where it is" : "stay where they are"}.` : "";
    const said = `${moved} of ${moves} amounts go to ${destination} (${groups}), for a fee of ${fee}.${stays}`;
    say(card, `${said} Confirm it in your wallet.`);
    const hash = await ask("eth_sendTransaction", { ...transaction, gas: `0x${gas.toString(16)}` });
    card.dataset.sent = String(hash);
    say(card, `Sent: ${hash}. ${said} This page shows it once the network has it: reload in a minute.`);
  }

  // True only once the wallet itself says that it is there.
  async function chooseChain(card, ask, chainId) {
    const isThere = async () => BigInt(await ask("eth_chainId")) === BigInt(chainId);
    if (await isThere()) return true;
    say(card, "Your wallet asks to switch the network.");
    try {
      await ask("wallet_switchEthereumChain", { chainId });
    } catch (error) {
      if ((error?.data?.originalError?.code ?? error?.code) !== UNKNOWN_CHAIN) throw error;
      return false;
    }
    return isThere();
  }

  // Read the very bytes that are sent, and refuse any other call or destination than the page shows.
  function decoded(card, call) {
    const { to, destination } = card.dataset;
    const words = call.slice(10).match(/.{64}/g) ?? [];
    const number = (place) => Number(BigInt(`0x${words[place]}`));
    const address = (place) => words[place].slice(24);
    if (call.slice(2, 10) !== SELECTOR || address(0) !== destination.slice(2).toLowerCase()) {
      throw new Error("the page’s call is not the one that it shows; nothing was sent");
    }
    const start = number(1) / 32 + 1;
    const groups = Array.from({ length: number(start - 1) }, (_, each) => start + number(start + each) / 32);
    const found = groups.map((at) => ({ token: address(at), salts: words.slice(at + 3, at + 3 + number(at + 2)) }));
    const lines = found.flatMap(({ token, salts }) => [
      token === NO_TOKEN ? `  the network’s coin, ${salts.length} deposits:` : `  token 0x${token}, ${salts.length} deposits:`,
      ...salts.map((salt) => `    salt 0x${salt}`),
    ]);
    const details = card.querySelector(".call");
    details.querySelector("pre").textContent = [`to ${to} (Collector)`, `collect to ${destination}:`, ...lines].join("\n");
    details.hidden = false;
    return found
      .map(({ token, salts }) => `${salts.length} × ${token === NO_TOKEN ? "the network’s coin" : `token 0x${token.slice(0, 6)}…${token.slice(-4)}`}`)
      .join(", ");
  }

  function shortened(units) {
    const digits = String(units).padStart(COIN_DECIMALS + 1, "0");
    const fraction = digits.slice(-COIN_DECIMALS).replace(/^(0*\d{0,3}).*/, "$1").replace(/0+$/, "");
    return `${digits.slice(0, -COIN_DECIMALS)}${fraction && `.${fraction}`}`;
  }

  function whatWentWrong(error) {
    if (error?.code === REFUSED) return "You declined in your wallet. Nothing was sent.";
    if (error?.code === PENDING) return "Your wallet has a question open already: look at it.";
    return `It did not work: ${String(error?.data?.message ?? error?.message ?? error).slice(0, LONGEST_REASON)}. Nothing was sent.`;
  }

  addEventListener("eip6963:announceProvider", ({ detail }) => {
    if (!detail?.info?.uuid || typeof detail.provider?.request !== "function" || wallets.has(detail.info.uuid)) return;
    wallets.set(detail.info.uuid, detail);
    show();
  });
  addEventListener("ethereum#initialized", show);

  show();
  dispatchEvent(new Event("eip6963:requestProvider"));
})();
