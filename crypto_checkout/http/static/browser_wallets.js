// Wallets in the owner's browser: EIP-6963 finds them, EIP-1193 talks to them. For the scripts that are loaded after this.
"use strict";

const browserWallets = (() => {
  const REFUSED = 4001;
  const PENDING = -32002;
  const UNKNOWN_CHAIN = 4902;
  const LONGEST_REASON = 160;
  const announced = new Map();

  // Call `show` now, and whenever a wallet comes.
  function watch(show) {
    addEventListener("eip6963:announceProvider", ({ detail }) => {
      if (!detail?.info?.uuid || typeof detail.provider?.request !== "function" || announced.has(detail.info.uuid)) return;
      announced.set(detail.info.uuid, detail);
      show();
    });
    addEventListener("ethereum#initialized", show);
    show();
    dispatchEvent(new Event("eip6963:requestProvider"));
  }

  // A button for each wallet, such as "Pay with Rabby"; `press` is given what asks that wallet: (method, ...params).
  function buttons(verb, disabled, press) {
    const found = [...announced.values()];
    if (!found.length && window.ethereum?.request) found.push({ info: { name: "your wallet" }, provider: window.ethereum });
    return found.map(({ info, provider }) => {
      const made = document.createElement("button");
      const textContent = `${verb} with ${String(info.name).slice(0, 40)}`;
      Object.assign(made, { type: "button", className: "button", textContent, disabled });
      made.addEventListener("click", () => press((method, ...params) => provider.request({ method, params })));
      return made;
    });
  }

  // True only once the wallet itself says that it is there.
  async function chooseChain(ask, chain, say) {
    const chainId = `0x${BigInt(chain).toString(16)}`;
    const isThere = async () => BigInt(await ask("eth_chainId")) === BigInt(chain);
    if (await isThere()) return true;
    say("Your wallet is asking to switch networks.");
    try {
      await ask("wallet_switchEthereumChain", { chainId });
    } catch (error) {
      if ((error?.data?.originalError?.code ?? error?.code) !== UNKNOWN_CHAIN) throw error;
      say("Your wallet doesn’t know this network. Add it there, then try again.");
      return false;
    }
    if (await isThere()) return true;
    say("Your wallet is still on another network. Switch it there, then try again.");
    return false;
  }

  function whatWentWrong(error) {
    if (error?.code === REFUSED) return "You declined in your wallet. Nothing was sent.";
    if (error?.code === PENDING) return "Your wallet already has an open request. Check your wallet.";
    const reason = String(error?.data?.message ?? error?.message ?? error).slice(0, LONGEST_REASON);
    return `That didn’t work: ${reason}. Check your wallet before you try again.`;
  }

  return { buttons, chooseChain, watch, whatWentWrong };
})();
