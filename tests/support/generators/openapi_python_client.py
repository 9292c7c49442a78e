"""Use a client that openapi-python-client made: URL KEY."""

import json
import sys

from made import AuthenticatedClient
from made.api.checkout_sessions import create_checkout_session, get_checkout_session, list_checkout_sessions
from made.api.customers import get_customer
from made.models import Error, Price, PriceCurrency, SessionCreate, SessionCreateMetadataType0

url, key = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key)
wanted = SessionCreate(
    amount=Price(value="10.00", currency=PriceCurrency.USD),
    metadata=SessionCreateMetadataType0.from_dict({"größe": "Überraschung ☕"}),
    success_url="https://münchen.example/h",
    customer_email="ada@example.com",
)
made = create_checkout_session.sync(client=client, body=wanted, idempotency_key="openapi-python-client-1")
shown = get_checkout_session.sync(made.id, client=client)
listed = list_checkout_sessions.sync(client=client, limit=5)
refused = get_customer.sync("cus_1", client=client)
assert isinstance(refused, Error)
print(  # noqa: T201
    json.dumps(
        {
            "id": shown.id,
            "status": shown.status.value,
            "text": shown.metadata["größe"],
            "url": shown.success_url,
            "listed": [each.id for each in listed.data],
            "code": refused.error.code.value,
        }
    )
)
