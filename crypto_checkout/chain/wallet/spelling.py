"""Spellings of an account's key: descriptors with origin (BIP-380), `xpub…/0/*`, JSON exports, invisible characters.

Each is reduced to the bare `xpub…`, or refused for what it is. No message repeats the text: it may be a private key.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

HARDENED = 2**31
PURPOSE = 44  # BIP-44
ETHER_COIN_TYPE = 60  # SLIP-44; wallets use it on every EVM chain.
WANTED = (
    "Expected: the account's extended public key (xpub…) at m/44'/60'/0' or m/44'/60'/0'/0: /docs/wallets says how to "
    "get it from your wallet."
)
LEDGER_LIVE = "as Ledger Live makes one for each of its accounts (m/44'/60'/1'/0/0, m/44'/60'/2'/0/0, …)"

# Byte order mark, zero-width and direction marks, soft hyphen: copied along, and invisible.
_INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u00ad"))
_PRIVATE = re.compile(r"\b[a-zA-Z]prv[1-9A-HJ-NP-Za-km-z]")
_BEGINS_LIKE_A_KEY = re.compile(r"[a-zA-Z]pub|\[|ur:|[a-z]+\(", re.IGNORECASE)
_DESCRIPTOR = re.compile(
    r"(?P<script>(?:[a-z_]+\()*)"
    r"(?:\[(?P<origin>[0-9a-fA-F]{8}(?:/[0-9]{1,10}['hH]?)*)\])?"
    r"(?P<key>[a-zA-Z]pub[^/()\[\]#,]*)"
    r"(?P<rest>(?:/[^/()#,]+)*)"
    r"\)*(?:#[a-z0-9]{8})?"
)
_BRANCHES = {"0", "<0;1>", "**"}  # The last two also stand for the change chain, which is never given out.
_COINS = {0: "Bitcoin", 1: "a test network", 2: "Litecoin", 3: "Dogecoin", 61: "Ethereum Classic", 195: "Tron"}
_PATH_NAMES = ("path", "serializedPath", "derivation", "derivationPath", "deriv", "hdPath")
_SECRET_NAMES = {"seed", "mnemonic", "xprv", "privatekey", "private_key"}
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Spelling:
    """The bare key of a pasted text; `origin` are the steps from the master key to it, None where not told.

    `rest` are the steps behind the key that describe its addresses, such as `("0", "*")`.
    """

    key: str
    origin: tuple[int, ...] | None = None
    rest: tuple[str, ...] = ()


def read(text: str) -> Spelling:
    """Find the key in a pasted text. Raises ValueError with a sentence that names the mistake."""
    visible = text.translate(_INVISIBLE).strip()
    if _PRIVATE.search(visible):
        raise ValueError(f"this is a private key; never put it on a server. {WANTED}")
    if visible[:1] in {"{", "["} and (document := _json(visible)) is not None:
        return _exported(document)
    joined = "".join(visible.split())
    if joined != visible and not _BEGINS_LIKE_A_KEY.match(joined):
        raise ValueError(f"this looks like a recovery phrase; never put it on a server. {WANTED}")
    if joined[:3].lower() == "ur:":
        raise ValueError(_ur_mistake(joined))
    found = _DESCRIPTOR.fullmatch(joined)
    if found is None:
        return Spelling(joined)
    origin = _steps(found["origin"].partition("/")[2]) if found["origin"] else None
    if found["script"] and origin is None:
        raise ValueError(f"this is a descriptor of Bitcoin ({found['script'].rstrip('(')}). {WANTED}")
    return Spelling(found["key"], origin, tuple(found["rest"].split("/")[1:]))


def check_origin(origin: tuple[int, ...] | None, depth: int, child_number: int) -> None:
    """Compare the path that a text gives its key with the key itself. Raises ValueError."""
    if origin is None:
        return
    coin = origin[1] - HARDENED if len(origin) > 1 else ETHER_COIN_TYPE
    where = shown_path(origin)
    if coin != ETHER_COIN_TYPE:
        name = f"of {_COINS[coin]}" if coin in _COINS else "of another coin"
        raise ValueError(f"this is a key {name} ({where}), and wallets of EVM chains use coin type 60. {WANTED}")
    if origin and origin[0] != PURPOSE + HARDENED:
        raise ValueError(f"this key lies at {where}, where wallets of EVM chains look for nothing. {WANTED}")
    if len(origin) != depth or (origin and origin[-1] != child_number):
        raise ValueError(f"the key is not that of the path beside it, {where}. {WANTED}")


def shown_path(steps: tuple[int, ...]) -> str:
    """Write a path as `m/44'/60'/0'`."""
    return "/".join(("m", *(f"{step - HARDENED}'" if step >= HARDENED else str(step) for step in steps)))


def check_rest(rest: tuple[str, ...], branch: int) -> None:
    """Check the steps behind a key of which `branch` (0 or 1) lead to the receiving chain. Raises ValueError."""
    steps = rest[:-1] if rest[-1:] == ("*",) else rest
    if rest == ("*",) and branch == 1:
        raise ValueError(
            "its addresses lie directly below the account (m/44'/60'/0'/0, /1, …), as in MyEtherWallet and Ledger's "
            f"old app, and this server gives out those one step further down (m/44'/60'/0'/0/0, …). {WANTED}"
        )
    if steps[:1] == ("1",) and branch == 1:
        raise ValueError(change_chain())
    if steps == rest and len(steps) > branch:
        raise ValueError(f"this names a single address, {LEDGER_LIVE}: leave the last steps away. {WANTED}")
    if len(steps) > branch or any(step not in _BRANCHES for step in steps):
        raise ValueError(f"it names addresses that no wallet shows: behind the account comes /0/*. {WANTED}")


def change_chain() -> str:
    """Return why a key of the change chain (…/1) is refused."""
    return (
        "this is the change chain of the account (…/1), whose addresses wallets of EVM chains don't show: take the "
        f"account itself, or its …/0. {WANTED}"
    )


def _ur_mistake(text: str) -> str:
    kind = re.sub(r"[^a-z0-9-]", "", text[3:].lower().partition("/")[0])[:30]
    return (
        f"this is the text of a QR code ({kind}), as Keystone and other wallets without a cable show it; the xpub is "
        "inside, and the guide /docs/wallets says how to take it out."
    )


# --- JSON ------------------------------------------------------------------------------------------------------------


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None  # A descriptor begins with a bracket as well.


def _exported(document: Any) -> Spelling:
    found = list(dict.fromkeys(_keys_of(document, 0)))
    with_path = [each for each in found if each.origin is not None]
    fitting = [each for each in with_path if len(each.origin or ()) > 1 and _is_ether(each)] or (
        found if not with_path else with_path[:1]
    )
    if not fitting:
        raise ValueError(f"this export has no extended public key (xpub). {WANTED}")
    if len(fitting) > 1:
        raise ValueError(f"this export has {len(fitting)} keys: paste the one of m/44'/60'/0' alone. {WANTED}")
    return fitting[0]


def _is_ether(spelling: Spelling) -> bool:
    return (spelling.origin or ())[1:2] == (ETHER_COIN_TYPE + HARDENED,)


def _keys_of(value: Any, depth: int) -> Iterator[Spelling]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for each in value:
            yield from _keys_of(each, depth + 1)
    if not isinstance(value, dict):
        return
    if any(name.lower() in _SECRET_NAMES and value[name] for name in value):
        raise ValueError(f"this export has private keys in it; never put it on a server. {WANTED}")
    key = value.get("xpub")
    if isinstance(key, str) and key:
        told = read(key)
        yield Spelling(told.key, _path_beside(value) if told.origin is None else told.origin, told.rest)
    for each in value.values():
        yield from _keys_of(each, depth + 1)


def _path_beside(table: dict[str, Any]) -> tuple[int, ...] | None:
    for name in _PATH_NAMES:
        path = table.get(name)
        if isinstance(path, list) and path and all(type(step) is int and 0 <= step < 2**32 for step in path):
            return tuple(path)
        if isinstance(path, str) and re.fullmatch(r"(m/)?[0-9]{1,10}['hH]?(/[0-9]{1,10}['hH]?)*", path):
            return _steps(path.removeprefix("m/"))
    return None


def _steps(path: str) -> tuple[int, ...]:
    return tuple(int(step.rstrip("'hH")) + (HARDENED if step[-1] in "'hH" else 0) for step in path.split("/") if step)
