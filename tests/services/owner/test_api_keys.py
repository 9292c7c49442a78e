"""API keys: what they may do, and that taking them back works within a second, wherever it was done."""

import hashlib
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from crypto_checkout.core import moments
from crypto_checkout.core.errors import InvalidApiKey, ResourceNotFound, RevokedApiKey
from crypto_checkout.core.owner.api_key import ApiKey, Scope
from crypto_checkout.services.owner import api_keys
from crypto_checkout.services.owner.api_keys import ApiKeys
from crypto_checkout.store.database import Database
from crypto_checkout.store.owner import api_keys as store
from tests.support.api import App, Clock, error, listed, open_app
from tests.support.waiting import until

EVENTS = "/events"


def files(folder: Path) -> list[Path]:
    return [*folder.iterdir()]


async def stored(app: App, key: ApiKey) -> ApiKey:
    found = await app.opened.db.read(lambda unit: store.get(unit, key.id))
    assert found is not None
    return found


async def status(api: httpx.AsyncClient) -> int:
    return (await api.get(EVENTS)).status_code


@pytest.mark.parametrize("livemode", [True, False])
async def test_a_key_says_its_mode_and_only_its_digest_is_kept(app: App, tmp_path: Path, livemode: bool) -> None:
    key, text = await app.key(livemode=livemode)
    prefix = "ck_live_" if livemode else "ck_test_"
    assert text.startswith(prefix)
    assert len(text) == len(prefix) + 32
    assert text[len(prefix) :].isalnum()
    assert key.prefix == text[:14]
    row = await app.opened.db.read(lambda unit: unit.one("SELECT * FROM api_keys WHERE id = :id", {"id": key.id}))
    assert row is not None
    assert row["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert [file.name for file in files(tmp_path) if text.encode() in file.read_bytes()] == []


async def test_a_key_has_its_scopes_in_one_order_and_each_once(app: App) -> None:
    key, _ = await app.key(scopes=[Scope.WEBHOOKS_READ, Scope.LINKS_READ, Scope.LINKS_READ])
    assert (await stored(app, key)).scopes == ("links:read", "webhooks:read")


async def test_the_first_letter_of_a_scheme_may_be_small(app: App) -> None:
    _, text = await app.key()
    for authorization in (f"Bearer {text}", f"bearer {text}", f"BEARER  {text} "):
        assert await status(await app.anybody(authorization)) == 200


async def test_a_revoked_key_is_told_so_and_stays_listed(app: App) -> None:
    key, text = await app.key()
    api = await app.anybody(f"Bearer {text}")
    assert await status(api) == 200
    await app.opened.db.write(lambda unit: api_keys.revoke(unit, app.opened.events, key.id))
    await until(lambda: refused(api), "the revocation")
    answer = await api.get(EVENTS)
    assert error(answer)["code"] == "revoked_api_key"
    assert key.prefix in error(answer)["message"]
    assert text not in answer.text
    listed_keys = await app.opened.db.read(store.all_keys)
    assert key.id in {each.id for each in listed_keys if each.revoked_at is not None}


async def refused(api: httpx.AsyncClient) -> bool:
    return await status(api) == 401


async def test_a_revocation_by_another_process_works_within_half_a_second(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock, test_mode={"enabled": False}) as app:
        key, text = await app.key()
        api = await app.anybody(f"Bearer {text}")
        assert await status(api) == 200
        async with await Database.open(app.opened.db.path, clock) as other:
            await other.write(lambda unit: store.revoke(unit, key.id))
        assert await status(api) == 200, "it is remembered for a moment"
        clock.move(seconds=0.5)
        assert await status(api) == 401


async def test_revoking_twice_keeps_the_first_time_and_records_one_event(app: App) -> None:
    key, _ = await app.key()
    first, second = [
        await app.opened.db.write(lambda unit: api_keys.revoke(unit, app.opened.events, key.id)) for _ in range(2)
    ]
    assert first == second
    assert first.revoked_at is not None
    events = (await listed(app.api, EVENTS, resourceId=key.id))["data"]
    assert [event["type"] for event in events] == ["api_key.revoked", "api_key.created"]
    assert events[0]["data"]["revokedAt"] == moments.to_text(first.revoked_at)


async def test_nobodys_key_can_not_be_revoked(app: App) -> None:
    with pytest.raises(ResourceNotFound):
        await app.opened.db.write(lambda unit: api_keys.revoke(unit, app.opened.events, "ak_1"))


async def test_the_last_use_is_noted_to_the_minute(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock, test_mode={"enabled": False}) as app:
        key, text = await app.key()
        api = await app.anybody(f"Bearer {text}")
        assert (await stored(app, key)).last_used_at is None

        async def used_at_is(moment: object) -> bool:
            return (await stored(app, key)).last_used_at == moment

        first = clock.now
        assert await status(api) == 200
        await until(lambda: used_at_is(first), "the first use")
        clock.move(seconds=59)
        assert await status(api) == 200
        clock.move(seconds=1)
        assert await used_at_is(first)
        second = clock.now
        assert await status(api) == 200
        await until(lambda: used_at_is(second), "the use after a minute")


async def test_a_key_that_is_refused_is_not_used(app: App) -> None:
    key, text = await app.key()
    await app.opened.db.write(lambda unit: api_keys.revoke(unit, app.opened.events, key.id))
    assert await status(await app.anybody(f"Bearer {text}")) == 401
    assert (await stored(app, key)).last_used_at is None


@pytest.mark.sqlite
async def test_a_use_that_can_not_be_noted_costs_no_request(tmp_path: Path) -> None:
    async with open_app(tmp_path, test_mode={"enabled": False}) as app:
        await app.opened.db.write(
            lambda unit: unit.run(
                "CREATE TRIGGER stuck BEFORE UPDATE ON api_keys BEGIN SELECT RAISE(ABORT, 'stuck'); END"
            )
        )
        with capture_logs() as logged:
            assert await status(app.api) == 200
            await until(lambda: [line for line in logged if "last use" in line["event"]], "the warning")


# --- the memory of keys ----------------------------------------------------------------------------------------------


async def test_a_key_is_looked_up_again_after_half_a_second_and_when_the_clock_goes_back(app: App) -> None:
    clock = Clock()
    checking = ApiKeys(app.opened.db)
    key, text = await app.key()
    for moved, is_new in ((0, True), (0.4, False), (0.2, True), (-3600, True), (0.1, False)):
        clock.move(seconds=moved)
        name = f"name at {clock.now}"
        await app.opened.db.write(
            lambda unit, name=name: unit.run(  # type: ignore[misc]
                "UPDATE api_keys SET name = :name WHERE id = :id", {"name": name, "id": key.id}
            )
        )
        assert ((await checking.check(text, clock.now)).name == name) is is_new


async def test_what_is_no_key_is_not_looked_up(app: App) -> None:
    checking = ApiKeys(app.opened.db)
    for text in (
        "",
        "ck_test_",
        "ck_test_" + "a" * 31,
        "ck_test_" + "a" * 33,
        "ck_demo_" + "a" * 32,
        "ck_test_" + "é" * 32,
    ):
        with pytest.raises(InvalidApiKey, match="not an API key"):
            await checking.check(text, Clock().now)
    with pytest.raises(InvalidApiKey, match="No such API key"):
        await checking.check("ck_test_" + "a" * 32, Clock().now)


async def test_a_million_wrong_keys_are_not_remembered(app: App) -> None:
    checking = ApiKeys(app.opened.db)
    for number in range(100):
        with pytest.raises(InvalidApiKey):
            await checking.check(f"ck_test_{number:032}", Clock().now)
    assert not checking._remembered


async def test_a_revoked_key_is_refused_also_while_it_is_remembered(app: App) -> None:
    checking = ApiKeys(app.opened.db)
    key, text = await app.key()
    await app.opened.db.write(lambda unit: api_keys.revoke(unit, app.opened.events, key.id))
    clock = Clock()
    for _ in range(2):
        with pytest.raises(RevokedApiKey):
            await checking.check(text, clock.now)
