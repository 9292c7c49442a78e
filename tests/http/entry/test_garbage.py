"""A request leaves no reference cycle behind: the garbage collector's search for them was a fifth of a read."""

import gc
import json
from pathlib import Path

import pytest

from tests.support.api import made, open_app
from tests.support.served import ask

PRICE = {"amount": {"value": "30.00", "currency": "USD"}}
TIMES = 40


@pytest.mark.parametrize("kind", ["read", "read anew", "list", "poll", "create"])
async def test_a_request_leaves_nothing_to_the_garbage_collector(tmp_path: Path, kind: str) -> None:
    async with open_app(tmp_path) as app:
        _, key = await app.key()
        session = (await made(app.api, "/checkout_sessions", PRICE))["id"]
        lines = {
            "read": f"GET /api/v1/checkout_sessions/{session}",
            "read anew": f"GET /api/v1/checkout_sessions/{session}/payments",
            "list": "GET /api/v1/checkout_sessions",
            "poll": f"GET /checkout/{session}/status",
            "create": "POST /api/v1/checkout_sessions",
        }
        request = (f"{lines[kind]} HTTP/1.1", "Host: shop.example", f"Authorization: Bearer {key}")
        body = json.dumps(PRICE).encode() if kind == "create" else b""
        for _ in range(2):
            assert (await ask(app.opened.web, *request, body=body)).status < 300
        gc.collect()
        gc.disable()
        try:
            for _ in range(TIMES):
                await ask(app.opened.web, *request, body=body)
            found = gc.collect()
        finally:
            gc.enable()
    assert found < TIMES  # the loops beside it may leave a few
