"""Token buckets: a burst at once, so many per second over time, each key for itself."""

from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.errors import RateLimitExceeded
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.http import rate_limit
from crypto_checkout.http.rate_limit import Allowance, RateLimit
from crypto_checkout.services.owner import api_keys
from tests.support.api import RateClock, open_app

EVENTS = "/events"


def limited(per_second: float, burst: int) -> tuple[RateLimit, RateClock]:
    clock = RateClock()
    return RateLimit(per_second=per_second, burst=burst, clock=clock), clock


def test_a_burst_is_allowed_at_once_and_not_one_more() -> None:
    limit, _ = limited(1, 3)
    assert [limit.take("a").is_allowed for _ in range(5)] == [True, True, True, False, False]


def test_what_is_left_and_when_it_is_full_again_is_told() -> None:
    limit, clock = limited(2, 4)
    assert limit.take("a") == Allowance(True, limit=4, remaining=3, reset_seconds=1, retry_after_seconds=1)
    for _ in range(3):
        empty = limit.take("a")
    assert (empty.remaining, empty.reset_seconds) == (0, 2)
    refused = limit.take("a")
    assert refused == Allowance(False, limit=4, remaining=0, reset_seconds=2, retry_after_seconds=1)
    clock.now += 0.5
    assert limit.take("a").is_allowed
    clock.now += 3600
    assert limit.take("a").remaining == 3, "no more than a burst is ever saved up"


def test_a_slow_bucket_says_how_long_to_wait() -> None:
    limit, clock = limited(0.1, 1)
    limit.take("a")
    refused = limit.take("a")
    assert (refused.is_allowed, refused.retry_after_seconds) == (False, 10)
    clock.now += refused.retry_after_seconds
    assert limit.take("a").is_allowed


def test_asking_in_vain_costs_nothing() -> None:
    limit, clock = limited(1, 1)
    limit.take("a")
    for _ in range(100):
        assert not limit.take("a").is_allowed
    clock.now += 1
    assert limit.take("a").is_allowed


def test_each_name_has_a_bucket_of_its_own() -> None:
    limit, _ = limited(1, 1)
    assert limit.take("a").is_allowed
    assert limit.take("b").is_allowed
    assert not limit.take("a").is_allowed


def test_many_names_do_not_fill_the_memory_and_full_buckets_are_forgotten_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_limit, "_MOST_BUCKETS", 10)
    limit, clock = limited(1, 2)
    for number in range(9):
        limit.take(f"old {number}")
    clock.now += 2
    limit.take("busy")
    limit.take("busy")
    limit.take("new")
    assert len(limit._buckets) == 2
    assert not limit.take("busy").is_allowed


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_over_any_time_no_more_than_the_burst_and_the_rate_is_allowed(
    pauses: Sequence[float], per_second: int, burst: int
) -> None:
    limit, clock = limited(per_second, burst)
    began = clock.now
    allowed = 0
    for pause in pauses:
        clock.now += pause
        allowance = limit.take("a")
        allowed += allowance.is_allowed
        assert 0 <= allowance.remaining <= burst
        assert allowance.reset_seconds >= 0
    assert allowed <= burst + per_second * (clock.now - began) + 1e-6


def test_a_refusal_names_the_limit_and_the_wait() -> None:
    limit, _ = limited(0.5, 1)
    limit.take("a").check()
    with pytest.raises(RateLimitExceeded) as raised:
        limit.take("a").check()
    assert raised.value.retry_after_seconds == 2
    assert "2 s" in raised.value.message


# --- of the API ------------------------------------------------------------------------------------------------------


def left(answer: httpx.Response) -> int:
    return int(answer.headers["ratelimit-remaining"])


async def emptied(api: httpx.AsyncClient) -> httpx.Response:
    """Ask until the bucket is empty; return the refusal."""
    while (answer := await api.get(EVENTS)).status_code == 200:
        pass
    return answer


@pytest.mark.usefixtures("still_rate_limits")
async def test_every_answer_to_a_key_says_what_is_left(tmp_path: Path) -> None:
    async with open_app(tmp_path, rate_limit={"per_second": 1, "burst": 5}) as app:
        expected = 5
        for path in (EVENTS, f"{EVENTS}/evt_1", f"{EVENTS}?limit=0", "/payment_links/pl_1"):
            answer = await app.api.get(path)
            expected -= 1
            assert answer.headers["ratelimit-limit"] == "5"
            assert 1 <= int(answer.headers["ratelimit-reset"]) <= 5
            assert left(answer) == expected


async def test_the_429_says_when_to_come_again_and_waiting_that_long_helps(
    tmp_path: Path, still_rate_limits: RateClock
) -> None:
    async with open_app(tmp_path, rate_limit={"per_second": 1, "burst": 1}) as app:
        answer = await emptied(app.api)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        assert (answer.headers["ratelimit-limit"], left(answer)) == ("1", 0)
        still_rate_limits.now += 0.5
        assert not await allowed(app.api)
        still_rate_limits.now += 0.5
        assert await allowed(app.api)


async def allowed(api: httpx.AsyncClient) -> bool:
    return (await api.get(EVENTS)).status_code == 200


@pytest.mark.usefixtures("still_rate_limits")
async def test_one_key_does_not_slow_another(tmp_path: Path) -> None:
    async with open_app(tmp_path, rate_limit={"per_second": 1, "burst": 1}) as app:
        other = await app.client()
        await emptied(app.api)
        assert await allowed(other)


@pytest.mark.usefixtures("still_rate_limits")
async def test_a_refusal_for_the_scope_costs_as_much_as_any_request(tmp_path: Path) -> None:
    async with open_app(tmp_path, rate_limit={"per_second": 1, "burst": 2}) as app:
        poor = await app.client(scopes=[Scope.LINKS_READ])
        refused = await poor.get(EVENTS)
        assert (refused.status_code, left(refused)) == (403, 1)


@pytest.mark.usefixtures("still_rate_limits")
async def test_wrong_keys_in_a_row_are_refused_and_right_ones_work(tmp_path: Path) -> None:
    async with open_app(tmp_path) as app:
        key, revoked = await app.key()
        await app.opened.db.write(lambda unit: api_keys.revoke(unit, app.opened.events, key.id))
        for number, wrong in enumerate(("ck_test_" + "a" * 32, "nonsense", revoked)):
            address = f"192.0.2.{number}"
            guesser = await app.anybody(f"Bearer {wrong}", address=address)
            statuses = [(await guesser.get(EVENTS)).status_code for _ in range(300)]
            assert statuses == sorted(statuses), "once refused, refused"
            assert set(statuses) == {401, 429}
            assert int((await guesser.get(EVENTS)).headers["retry-after"]) >= 1
            assert await allowed(await app.client(address=address))
            nobody = await app.anybody(address=address)
            assert (await nobody.get(EVENTS)).status_code == 401, "no key at all guesses nothing"


@pytest.mark.usefixtures("still_rate_limits")
async def test_the_payers_status_has_a_limit_per_address(tmp_path: Path) -> None:
    async with open_app(tmp_path) as app:
        near, far = [await app.anybody(address=address) for address in ("192.0.2.1", "192.0.2.2")]
        path = "http://shop.example/checkout/cs_1/status"
        answer = await near.get(path)
        while answer.status_code != 429:
            answer = await near.get(path)
        assert "retry-after" in answer.headers
        assert (await far.get(path)).status_code == 404


@pytest.mark.parametrize("processes", [2, 3, 16])
def test_several_processes_together_give_no_more_than_the_limit(processes: int) -> None:
    clock = RateClock()
    shares = [RateLimit(per_second=10, burst=48, processes=lambda: processes, clock=clock) for _ in range(processes)]
    assert sum(share.take("a").is_allowed for share in shares for _ in range(60)) == 48
    clock.now += 3.2
    assert 32 - processes < sum(share.take("a").is_allowed for share in shares for _ in range(60)) <= 32


def test_a_share_of_less_than_a_request_lets_one_through() -> None:
    limit = RateLimit(per_second=1, burst=2, processes=lambda: 8, clock=RateClock())
    assert [limit.take("a").is_allowed for _ in range(2)] == [True, False]


def test_a_process_that_joins_or_leaves_changes_the_share_at_once() -> None:
    processes, clock = [1], RateClock()
    limit = RateLimit(per_second=4, burst=8, processes=lambda: processes[0], clock=clock)
    assert limit.take("a").remaining == 7
    processes[0] = 4
    assert [limit.take("a").remaining for _ in range(3)] == [4, 0, 0]
    processes[0] = 1
    clock.now += 2
    assert limit.take("a").remaining == 7
