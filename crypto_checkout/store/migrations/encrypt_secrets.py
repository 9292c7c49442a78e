"""Encrypt the secrets that earlier versions stored as they are: the part of a migration that SQL can't do."""

import json

from crypto_checkout import encryption
from crypto_checkout.core.webhooks.endpoint import PREFIX_CHARACTERS
from crypto_checkout.encryption import Cipher, is_encrypted
from crypto_checkout.store.units import EngineConnection


def encrypt_secrets(connection: EngineConnection, cipher: Cipher) -> None:
    """Encrypt the secrets of webhooks and of the second factor, and stored answers that hold one.

    What is encrypted already stays: a restore may have carried it over into an older copy.
    """
    _encrypt_endpoints(connection, cipher)
    for (secret,) in connection.execute("SELECT totp_secret FROM admin WHERE totp_secret IS NOT NULL").fetchall():
        encrypted = _encrypted(cipher, secret, encryption.SECOND_FACTOR)
        connection.execute("UPDATE admin SET totp_secret = :secret", {"secret": encrypted})
    answers = "SELECT api_key_id, idempotency_key, body FROM idempotency_keys WHERE body LIKE '%whsec_%'"
    for api_key_id, idempotency_key, body in connection.execute(answers).fetchall():
        connection.execute(
            "UPDATE idempotency_keys SET body = :body"
            " WHERE api_key_id = :api_key_id AND idempotency_key = :idempotency_key",
            {
                "api_key_id": api_key_id,
                "idempotency_key": idempotency_key,
                "body": _encrypted(cipher, body, encryption.of_answer(api_key_id, idempotency_key)),
            },
        )


def _encrypt_endpoints(connection: EngineConnection, cipher: Cipher) -> None:
    for endpoint_id, secret, old_secrets in connection.execute(
        "SELECT id, secret, old_secrets FROM webhook_endpoints"
    ).fetchall():
        place = encryption.of_endpoint(endpoint_id)
        plain = (cipher.decrypt(secret, place) or "") if is_encrypted(secret) else secret
        old = [(_encrypted(cipher, text, place), until) for text, until in json.loads(old_secrets)]
        connection.execute(
            "UPDATE webhook_endpoints"
            " SET secret = :secret, secret_prefix = :secret_prefix, old_secrets = :old_secrets"
            " WHERE id = :id",
            {
                "id": endpoint_id,
                "secret": _encrypted(cipher, secret, place),
                "secret_prefix": plain[:PREFIX_CHARACTERS],
                "old_secrets": json.dumps(old),
            },
        )


def _encrypted(cipher: Cipher, text: str, place: str) -> str:
    return text if is_encrypted(text) else cipher.encrypt(text, place)
