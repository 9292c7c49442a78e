// The payer's refund page: has the account that paid sign where the money shall go. EIP-6963 finds the wallets, and
// `personal_sign` (EIP-191) signs. Without this script an address can be given all the same.
"use strict";

(() => {
  const REFUSED = 4001;
  const LONGEST_REASON = 160;
  const words = document.getElementById("refunds").dataset;
  const wallets = new Map();
  let signing = false;

  function show() {
    const found = [...wallets.values()];
    if (!found.length && window.ethereum?.request) found.push({ info: { name: "", icon: "" }, provider: window.ethereum });
    for (const place of document.querySelectorAll(".signing")) {
      place.hidden = !found.length;
      place.querySelector(".signers").replaceChildren(...found.map((wallet) => button(wallet, place.closest("form"))));
    }
  }

  function button({ info, provider }, form) {
    const made = Object.assign(document.createElement("button"), { type: "button", className: "button wallet-button" });
    if (/^data:image\//.test(info.icon)) made.append(Object.assign(new Image(24, 24), { src: info.icon, alt: "" }));
    made.append(info.name ? `${words.sign} (${String(info.name).slice(0, 40)})` : words.sign);
    made.addEventListener("click", () => sign(provider, form));
    return made;
  }

  async function sign(provider, form) {
    if (signing || !form.reportValidity()) return;
    signing = true;
    const state = form.querySelector(".sign-state");
    state.textContent = "";
    try {
      const paid = form.dataset.accounts.toLowerCase().split(" ");
      const accounts = await provider.request({ method: "eth_requestAccounts" });
      const account = accounts.find((each) => paid.includes(each.toLowerCase())) || accounts[0];
      const text = form.dataset.message.replace("{destination}", () => form.elements.address.value.trim().toLowerCase());
      const hex = `0x${[...new TextEncoder().encode(text)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
      form.elements.signature.value = await provider.request({ method: "personal_sign", params: [hex, account] });
      form.elements.account.value = account;
      form.submit();
    } catch (error) {
      const reason = String(error?.message || error?.code || error).slice(0, LONGEST_REASON);
      state.textContent = error?.code === REFUSED ? words.refused : words.failed.replace("{reason}", () => reason);
    } finally {
      signing = false;
    }
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
