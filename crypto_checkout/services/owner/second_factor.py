"""The second factor: one-time codes of an authenticator app (RFC 6238), and recovery codes for its loss."""

import base64
import hashlib
import re
import secrets
from datetime import datetime

from crypto_checkout.core.owner.account import Admin
from crypto_checkout.encryption import SECOND_FACTOR, Cipher
from crypto_checkout.store.database import WriteUnit
from crypto_checkout.store.owner import account as store

RECOVERY_CODES = 10

_STEP_SECONDS = 30
_STEPS_OFF = 1
"""The number of steps that a phone's clock may be off, either way."""

_SECRET_BYTES = 20
_SECRET = re.compile("[A-Z2-7]{32}")
_RECOVERY_BYTES = 10
_GROUP = 4


def new_secret() -> str:
    """Return a secret for a new authenticator, in base32."""
    return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def is_secret(text: str) -> bool:
    """Tell whether a text has the form of a secret from `new_secret`."""
    return _SECRET.fullmatch(text) is not None


def address(secret: str, issuer: str) -> str:
    """Return the `otpauth://` URI that an authenticator app reads from a QR code."""
    from pyotp import TOTP

    return TOTP(secret).provisioning_uri(name="dashboard", issuer_name=issuer)


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """Return the time step around `now` that has this code; None for a wrong code."""
    from pyotp import HOTP

    digits = code.replace(" ", "")
    current = int(now.timestamp()) // _STEP_SECONDS
    generator = HOTP(secret)
    matching = None
    # Every step is compared, found or not, so that the timing reveals nothing.
    for step in range(current - _STEPS_OFF, current + _STEPS_OFF + 1):
        if secrets.compare_digest(generator.at(step).encode(), digits.encode()):
            matching = step
    return matching


def take(unit: WriteUnit, cipher: Cipher, account: Admin, code: str) -> str | None:
    """Use up a code and return its kind, "code" or "recovery code"; None for a wrong one.

    Without a second factor any code passes, as "none". If its secret can't be read, only recovery codes do: whoever can
    delete a file must not get in by that.
    """
    if account.totp_secret is None:
        return "none"
    secret = cipher.decrypt(account.totp_secret, SECOND_FACTOR)
    step = None if secret is None else step_of(secret, code, unit.now)
    if step is not None:
        return "code" if store.use_step(unit, step) else None
    return "recovery code" if store.use_recovery_code(unit, _digest(code)) else None


def new_recovery_codes(unit: WriteUnit) -> list[str]:
    """Replace all recovery codes; return the new ones, which can't be read again."""
    codes = [_new_code() for _ in range(RECOVERY_CODES)]
    store.set_recovery_codes(unit, [_digest(code) for code in codes])
    return codes


def _new_code() -> str:
    """Return 80 random bits as `xxxx-xxxx-xxxx-xxxx`."""
    text = base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def _digest(code: str) -> str:
    plain = "".join(character for character in code.lower() if character.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()
