// Paying a refund with a wallet in the browser: EIP-6963 finds it, EIP-1193 talks to it. The hash that the wallet gives is
// sent to the server, which waits for that transaction. The server itself never pays.
"use strict";

(() => {
  const REFUSED = 4001;
  const PENDING = -32002;
  const UNKNOWN_CHAIN = 4902;
  const LONGEST_REASON = 160;
  // transfer(address,uint256) of ERC-20.
  const TRANSFER = "0xa9059cbb";

  const card = document.querySelector(".pay");
  const place = card.querySelector(".wallets");
  if (!place) return;
  const wallets = new Map();
  let busy = false;

  const say = (text) => { card.querySelector(".state").textContent = text; };

  function show() {
    const found = [...wallets.values()];
    if (!found.length && window.ethereum?.request) found.push({ info: { name: "your wallet" }, provider: window.ethereum });
    place.replaceChildren(...found.map(button));
    card.querySelector(".no-wallet").hidden = found.length > 0;
  }

  function button({ info, provider }) {
    const made = document.createElement("button");
    const name = `Pay with ${String(info.name).slice(0, 40)}`;
    Object.assign(made, { type: "button", className: "button", textContent: name, disabled: busy || card.dataset.sent });
    made.addEventListener("click", () => pay(provider));
    return made;
  }

  async function pay(provider) {
    if (busy) return;
    busy = true;
    show();
    try {
      await send((method, ...params) => provider.request({ method, params }));
    } catch (error) {
      say(whatWentWrong(error));
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
    say("Your wallet asks which account to use.");
    await ask("eth_requestAccounts");
    if (!(await chooseChain(ask, `0x${BigInt(chain).toString(16)}`))) {
      say("Your wallet does not know this network. Add it there, and try again.");
      return;
    }
    const [from] = await ask("eth_accounts");
    say(`Confirm in your wallet: ${amount} to ${destination}.`);
    const hash = await ask("eth_sendTransaction", { from, to, value, ...(call === "0x" ? {} : { data: call }) });
    card.dataset.sent = String(hash);
    say(`Sent: ${hash}.`);
    const form = card.querySelector("form");
    form.elements.tx_hash.value = String(hash);
    form.submit();
  }

  // True only once the wallet itself says that it is there.
  async function chooseChain(ask, chainId) {
    const isThere = async () => BigInt(await ask("eth_chainId")) === BigInt(chainId);
    if (await isThere()) return true;
    say("Your wallet asks to switch the network.");
    try {
      await ask("wallet_switchEthereumChain", { chainId });
    } catch (error) {
      if ((error?.data?.originalError?.code ?? error?.code) !== UNKNOWN_CHAIN) throw error;
      return false;
    }
    return isThere();
  }

  function whatWentWrong(error) {
    if (error?.code === REFUSED) return "You declined in your wallet. Nothing was sent.";
    if (error?.code === PENDING) return "Your wallet has a question open already: look at it.";
    return `It did not work: ${String(error?.data?.message ?? error?.message ?? error).slice(0, LONGEST_REASON)}. Look into your wallet before you try again.`;
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
