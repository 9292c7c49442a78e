"""Switch off webhook endpoints whose signing secret can't be read, because the key of the data folder is another one.

That is so after a restore on another machine without its `secret.key`. Such an endpoint misses events from then on;
once its secret was rotated and it is switched on again, they can be replayed, as after any other time off.
"""

from dataclasses import replace

from crypto_checkout import encryption
from crypto_checkout.log import get_logger
from crypto_checkout.services.webhooks.attempts import switched_off
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.webhooks import endpoints

log = get_logger("webhooks")

_REASON = "The signing secret can't be read any more, since secret.key was lost. Rotate the secret, then enable it."


async def switch_off_unreadable(db: Database) -> None:
    """Switch off the active endpoints whose secret can't be read."""

    def work(unit: WriteUnit) -> list[str]:
        lost = [
            endpoint
            for livemode in (True, False)
            for endpoint in endpoints.active(unit, livemode)
            if db.cipher.decrypt(endpoint.secret, encryption.of_endpoint(endpoint.id)) is None
        ]
        for endpoint in lost:
            endpoints.update(unit, switched_off(unit, replace(endpoint, disabled_reason=_REASON), unit.now))
        return [endpoint.id for endpoint in lost]

    for endpoint_id in await db.write(work):
        log.error("an endpoint is switched off: without secret.key its secret can't be read", endpoint=endpoint_id)
