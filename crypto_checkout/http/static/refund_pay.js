// Paying a refund with a wallet in the browser (`browser_wallets.js`). The hash that the wallet gives is sent to the server,
// which waits for that transaction. The server itself never pays.
"use strict";

(() => {
  // transfer(address,uint256) of ERC-20.
  const TRANSFER = "0xa9059cbb";

  const card = document.querySelector(".pay");
  const place = card.querySelector(".wallets");
  if (!place) return;
  let busy = false;

  const say = (text) => { card.querySelector(".state").textContent = text; };

  function show() {
    const buttons = browserWallets.buttons("Pay", busy || card.dataset.sent, pay);
    place.replaceChildren(...buttons);
    card.querySelector(".no-wallet").hidden = buttons.length > 0;
  }

  async function pay(ask) {
    if (busy) return;
    busy = true;
    show();
    try {
      await send(ask);
    } catch (error) {
      say(browserWallets.whatWentWrong(error));
    } finally {
      busy = false;
      show();
    }
  }

  async function send(ask) {
    const { chain, to, value, call, destination, amount } = card.dataset;
    const receiver = call === "0x" ? to : `0x${call.slice(34, 74)}`;
    if (receiver.toLowerCase() !== destination.toLowerCase() || (call !== "0x" && !call.startsWith(TRANSFER))) {
      throw new Error("the page’s call is not the one that it shows");
    }
    say("Your wallet is asking which account to use.");
    await ask("eth_requestAccounts");
    if (!(await browserWallets.chooseChain(ask, chain, say))) return;
    const [from] = await ask("eth_accounts");
    say(`Confirm in your wallet: ${amount} to ${destination}.`);
    const hash = await ask("eth_sendTransaction", { from, to, value, ...(call === "0x" ? {} : { data: call }) });
    card.dataset.sent = String(hash);
    say(`Sent: ${hash}.`);
    const form = card.querySelector("form");
    form.elements.tx_hash.value = String(hash);
    form.submit();
  }

  browserWallets.watch(show);
})();
