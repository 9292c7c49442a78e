"""Use a client that openapi-generator made: URL KEY."""

import json
import sys

import openapi_client
from openapi_client.api import checkout_sessions_api, customers_api

url, key = sys.argv[1:]
client = openapi_client.ApiClient(openapi_client.Configuration(host=url, access_token=key))
sessions = checkout_sessions_api.CheckoutSessionsApi(client)
wanted = openapi_client.SessionCreate(
    amount=openapi_client.Price(value="10.00", currency="USD"),
    metadata={"größe": "Überraschung ☕"},
    success_url="https://münchen.example/h",
    customer_email="ada@example.com",
)
made = sessions.create_checkout_session(wanted, idempotency_key="openapi-generator-python-1")
shown = sessions.get_checkout_session(made.id)
listed = sessions.list_checkout_sessions(limit=5)
try:
    customers_api.CustomersApi(client).get_customer("cus_1")
    code = None
except openapi_client.ApiException as error:
    code = json.loads(error.body)["error"]["code"]
print(  # noqa: T201
    json.dumps(
        {
            "id": shown.id,
            "status": shown.status,
            "text": shown.metadata["größe"],
            "url": shown.success_url,
            "listed": [each.id for each in listed.data],
            "code": code,
        }
    )
)
