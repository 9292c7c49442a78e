"""A wallet in the browser: announces itself as in EIP-6963, answers as in EIP-1193, and really pays on anvil."""

import json
from collections import defaultdict
from typing import Any

from playwright.sync_api import Page

from tests.support.anvil import Anvil

NAME = "Fake Wallet"

_PROVIDER = """
(() => {
  const listeners = {};
  const provider = {
    async request({ method, params }) {
      const { result, error } = await window.askFakeWallet(method, JSON.stringify(params ?? []));
      if (error) throw Object.assign(new Error(error.message), error);
      return result;
    },
    on(name, listener) { (listeners[name] ??= []).push(listener); },
  };
  window.fakeWalletSays = (name, value) => (listeners[name] ?? []).forEach((listener) => listener(value));
  const icon = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>";
  const info = { uuid: "350670db-19fa-4704-a166-e52e178b59d2", name: "Fake Wallet", icon, rdns: "example.fake" };
  const announce = () =>
    dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }));
  addEventListener("eip6963:requestProvider", announce);
  announce();
})();
"""


class _Refused(Exception):
    """A call that the wallet answers with an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.error = error


class FakeWallet:
    """One payer's wallet. It keeps all calls, and fails as a test tells it to.

    `fails[method]` holds the errors that the next calls of a method are answered with; `known_chains` those that it can
    switch to; `stubborn` says that it agrees to switch and stays where it is.
    """

    def __init__(self, page: Page, node: Anvil, *, chain_id: int) -> None:
        self.node = node
        self.account = node.accounts[3]
        self.chain_id = chain_id
        self.known_chains = {chain_id}
        self.stubborn = False
        self.fails: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.asked: list[tuple[str, list[Any]]] = []
        self.hashes: list[str] = []
        page.expose_function("askFakeWallet", self._answer)
        page.add_init_script(_PROVIDER)

    def methods(self) -> list[str]:
        """Return the names of the calls so far."""
        return [method for method, _ in self.asked]

    def parameters(self, method: str) -> list[Any]:
        """Return the parameters of the last call of a method."""
        return next(parameters for name, parameters in reversed(self.asked) if name == method)

    def _answer(self, method: str, parameters: str) -> dict[str, Any]:
        given = json.loads(parameters)
        self.asked.append((method, given))
        if self.fails[method]:
            return {"error": self.fails[method].pop(0)}
        try:
            return {"result": self._result(method, given)}
        except _Refused as refused:
            return {"error": refused.error}

    def _result(self, method: str, given: list[Any]) -> Any:
        result: Any = None
        match method:
            case "eth_requestAccounts" | "eth_accounts":
                result = [self.account]
            case "eth_chainId":
                result = hex(self.chain_id)
            case "wallet_switchEthereumChain":
                self._switch(int(given[0]["chainId"], 16))
            case "wallet_addEthereumChain":
                self.known_chains.add(int(given[0]["chainId"], 16))
            case "eth_call" | "eth_estimateGas" | "eth_gasPrice":
                result = self.node.rpc(method, *given)
            case "personal_sign":
                result = self.node.rpc("personal_sign", *given)
            case "eth_sendTransaction":
                result = self.node.rpc("eth_sendTransaction", given[0])
                self.hashes.append(result)
            case _:
                raise _Refused({"code": 4200, "message": f"{method} is not supported"})
        return result

    def _switch(self, chain_id: int) -> None:
        if chain_id not in self.known_chains:
            raise _Refused({"code": 4902, "message": "Unrecognized chain ID"})
        if not self.stubborn:
            self.chain_id = chain_id
