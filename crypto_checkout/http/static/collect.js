// Collecting from deposits, and from addresses that delegate, with a wallet in the browser (`browser_wallets.js`). The
// wallet tries the call first; the page says what would move, where to and for what fee; then the wallet asks its owner.
"use strict";

(() => {
  const COIN_DECIMALS = 18;
  const SPARE_GAS = 10n;
  // Of the Collector: collect(address,(address,bytes32[])[]) for deposits, collectFrom((address,address[])[]) for accounts.
  const COLLECT = "6351ee22";
  const COLLECT_FROM = "431adf10";
  const DESTINATION = "0xb269681d"; // destination() of an account that delegates
  const NO_TOKEN = "0".repeat(40);

  const cards = () => document.querySelectorAll(".collect");
  let busy = false;

  function say(card, text) {
    card.querySelector(".state").textContent = text;
  }

  function show() {
    for (const card of cards()) {
      const buttons = browserWallets.buttons("Collect", busy || card.dataset.sent, (ask) => collect(card, ask));
      card.querySelector(".wallets").replaceChildren(...buttons);
      card.querySelector(".no-wallet").hidden = buttons.length > 0;
    }
  }

  async function collect(card, ask) {
    if (busy) return;
    busy = true;
    show();
    try {
      await send(card, ask);
    } catch (error) {
      say(card, browserWallets.whatWentWrong(error));
    } finally {
      busy = false;
      show();
    }
  }

  async function send(card, ask) {
    const { chain, to, call, destination, moves, coin } = card.dataset;
    say(card, "Your wallet is asking which account to use.");
    await ask("eth_requestAccounts");
    if (!(await browserWallets.chooseChain(ask, chain, (text) => say(card, text)))) return;
    // Asked anew: the owner may have changed the account meanwhile.
    const [from] = await ask("eth_accounts");
    const transaction = { from, to, data: call };
    const { groups, accounts } = decoded(card, call);
    await checkDestinations(ask, accounts, destination);
    say(card, "Trying the call without sending it.");
    const answer = await ask("eth_call", transaction, "latest");
    if (answer === "0x") {
      say(card, "The collecting contracts aren’t deployed on this network. “crypto-checkout collect setup” shows how to deploy them.");
      return;
    }
    const moved = BigInt(answer);
    if (moved === 0n) {
      say(card, "Nothing would move: it has already been collected, or the tokens refuse. Nothing was sent.");
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
    say(card, `Sent: ${hash}. ${said} Reload this page in a minute to see it.`);
  }

  // An account that delegates names its destination itself: compare each with the one that the page shows.
  async function checkDestinations(ask, accounts, destination) {
    const answers = await Promise.all(accounts.map((to) => ask("eth_call", { to, data: DESTINATION }, "latest")));
    if (answers.some((answer) => `0x${String(answer).slice(-40)}`.toLowerCase() !== destination.toLowerCase())) {
      throw new Error("an address would send its money elsewhere than the page shows; nothing was sent");
    }
  }

  // Read the very bytes that are sent, and refuse any other call or destination than the page shows.
  function decoded(card, call) {
    const { to, destination } = card.dataset;
    const words = call.slice(10).match(/.{64}/g) ?? [];
    const number = (place) => Number(BigInt(`0x${words[place]}`));
    const address = (place) => words[place].slice(24);
    const ofDeposits = call.slice(2, 10) === COLLECT;
    if (ofDeposits ? address(0) !== destination.slice(2).toLowerCase() : call.slice(2, 10) !== COLLECT_FROM) {
      throw new Error("the page’s call is not the one that it shows; nothing was sent");
    }
    const start = number(ofDeposits ? 1 : 0) / 32 + 1;
    const groups = Array.from({ length: number(start - 1) }, (_, each) => start + number(start + each) / 32);
    const found = groups.map((at) => ({ token: address(at), items: words.slice(at + 3, at + 3 + number(at + 2)) }));
    const kind = ofDeposits ? "deposits" : "addresses";
    const lines = found.flatMap(({ token, items }) => [
      token === NO_TOKEN ? `  the network’s coin, ${items.length} ${kind}:` : `  token 0x${token}, ${items.length} ${kind}:`,
      ...items.map((item) => (ofDeposits ? `    salt 0x${item}` : `    0x${item.slice(24)}`)),
    ]);
    const details = card.querySelector(".call");
    details.querySelector("pre").textContent = [`to ${to} (Collector)`, `collect to ${destination}:`, ...lines].join("\n");
    details.hidden = false;
    const said = found.map(({ token, items }) => {
      const asset = token === NO_TOKEN ? "the network’s coin" : `token 0x${token.slice(0, 6)}…${token.slice(-4)}`;
      return `${items.length} × ${asset}`;
    });
    const accounts = ofDeposits ? [] : found.flatMap(({ items }) => items.map((item) => `0x${item.slice(24)}`));
    return { groups: said.join(", "), accounts: [...new Set(accounts)] };
  }

  function shortened(units) {
    const digits = String(units).padStart(COIN_DECIMALS + 1, "0");
    const fraction = digits.slice(-COIN_DECIMALS).replace(/^(0*\d{0,3}).*/, "$1").replace(/0+$/, "");
    return `${digits.slice(0, -COIN_DECIMALS)}${fraction && `.${fraction}`}`;
  }

  browserWallets.watch(show);
})();
