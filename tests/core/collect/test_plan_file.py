"""Plans as files: read back as they were written, and refused when anything in them was changed."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from crypto_checkout.core.address import Address
from crypto_checkout.core.collect import plan as plans
from crypto_checkout.core.collect import plan_file
from crypto_checkout.core.collect.plan import Plan, PlanInvalid, Way
from tests.support.plans import a_plan

STRANGER = "0x" + "EE" * 20
Change = Callable[[dict[str, Any]], object]


def set_in(*path: Any) -> Change:
    """Return what sets a place in a plan's JSON: keys, then the value."""
    *keys, last, value = path

    def change(plan: dict[str, Any]) -> None:
        place: Any = plan
        for key in keys:
            place = place[key]
        place[last] = value

    return change


def with_digest(value: dict[str, Any]) -> str:
    """Write a changed plan with the digest that fits it, as somebody who tampers would."""
    rest = {key: each for key, each in value.items() if key != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return json.dumps({**rest, "sha256": sha256(text.encode()).hexdigest()})


@pytest.mark.parametrize("way", Way)
def test_a_plan_is_read_back_as_it_was(way: Way) -> None:
    plan = a_plan(way)

    assert plan_file.read_plan(plan_file.plan_text(plan)) == plan


def test_a_changed_file_is_refused_by_its_digest() -> None:
    text = plan_file.plan_text(a_plan(Way.EIP_7702))
    units = '"units": "1000000"'
    assert units in text

    with pytest.raises(PlanInvalid, match="changed or damaged"):
        plan_file.read_plan(text.replace(units, '"units": "1000001"', 1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_in("format", "something"), "not the file"),
        (set_in("version", 2), "version is 2"),
        (set_in("mode", "cold"), "mode"),
        (set_in("chainId", 0), "valid on every chain"),
        (set_in("chainId", True), "chainId is not of the right type"),
        (set_in("destination", "0x" + "00" * 20), "zero address"),
        (set_in("destination", STRANGER.lower()), "EIP-55"),
        (set_in("way", "magic"), "way"),
        (set_in("delegate", "0x" + "11" * 20), "delegate is not the contract"),
        (set_in("collector", "0x" + "11" * 20), "collector is not the contract"),
        (set_in("collector", None), "collector is not the contract"),
        (set_in("items", []), "moves nothing"),
        (set_in("items", 0, "units", "0"), "not above zero"),
        (set_in("items", 0, "units", "-1"), "malformed"),
        (set_in("items", 0, "units", 5), "not of the right type"),
        (set_in("items", 1, "index", 7), "two indexes"),
        (set_in("items", 1, "nonce", 4), "don't follow"),
        (set_in("items", 0, "gas", 2**25), "EIP-7825|maxTotalFee"),
        (set_in("items", 0, "memo", "hello"), "not a field"),
        (set_in("items", 0, "asset", "symbol", "US\u202eD"), "can't be shown"),
        (set_in("fuel", "units", "1"), "of fuel"),
        (set_in("fuel", "nonce", -1), "out of range"),
        (set_in("maxFeePerGas", "1"), "contradict"),
        (set_in("maxFeePerGas", str(10**15)), "of fuel"),
        (set_in("maxTotalFee", "1"), "maxTotalFee"),
        (set_in("path", "m/44'/60'/0'/0 "), "path is malformed"),
        (set_in("funding", [{"index": 9, "address": STRANGER, "units": "5", "gas": 21000}]), "."),
        (lambda plan: plan.pop("fuel"), "fuel is missing"),
        (lambda plan: plan.update(extra=1), "extra is not a field"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused_also_with_a_digest_that_fits(change: Change, reason: str) -> None:
    value = json.loads(plan_file.plan_text(a_plan(Way.EIP_7702)))
    change(value)

    with pytest.raises(PlanInvalid, match=reason):
        plan_file.read_plan(with_digest(value))


@pytest.mark.parametrize("text", ["", "[]", "null", '{"format": 1}', "not JSON", "[" * 5000])
def test_what_is_no_plan_is_refused_with_the_command_that_makes_one(text: str) -> None:
    with pytest.raises(PlanInvalid, match="crypto-checkout collect plan"):
        plan_file.read_plan(text)


def test_coin_for_a_stranger_is_refused() -> None:
    plan = a_plan(Way.TRANSFERS)
    (given,) = plan.funding
    changed = _consistent(replace(plan, funding=(replace(given, address=Address("0x" + "ee" * 20), index=99),)))

    with pytest.raises(PlanInvalid, match="more coin to index 99"):
        plans.check(changed)


def test_more_coin_than_fees_need_is_refused() -> None:
    plan = a_plan(Way.TRANSFERS)
    (given,) = plan.funding
    changed = _consistent(replace(plan, funding=(replace(given, units=given.units + 1),)))

    with pytest.raises(PlanInvalid, match="more coin"):
        plans.check(changed)


def test_a_batch_has_at_most_a_hundred_addresses_and_never_splits_one() -> None:
    plan = a_plan(Way.EIP_7702, addresses=101)

    sizes = [len({item.address for item in each}) for each in plans.batches(plan.items)]

    assert sizes == [100, 1]
    assert [each.nonce for each in plans.transactions(plan)] == [5, 6, 7]


def _consistent(plan: Plan) -> Plan:
    return replace(plan, fuel=replace(plan.fuel, units=plans.fuel_needed(plan)))
