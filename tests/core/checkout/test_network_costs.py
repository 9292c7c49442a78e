"""About what a payment costs its payer, and how long it takes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.network_costs import ChainPace, GasCost, network_fee, pace
from crypto_checkout.core.money import Fiat

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
ETH = Asset(1, "ETH", 18)
USDC = Asset(1, "USDC", 6, Address("0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"))
GWEI = 10**9


def test_a_token_takes_more_gas_than_a_coin_and_data_comes_on_top() -> None:
    assert GasCost(2 * GWEI).of_transfer(ETH) == 42_000 * GWEI
    assert GasCost(2 * GWEI).of_transfer(USDC) == 130_000 * GWEI
    assert GasCost(2 * GWEI, 7).of_transfer(USDC) == 130_000 * GWEI + 7


@pytest.mark.parametrize(
    ("wei", "currency", "amount", "is_less"),
    [
        (42_000 * GWEI, "USD", "0.13", False),
        (3_333_333 * 10**6, "USD", "0.01", True),
        (3_333_334 * 10**6, "USD", "0.01", False),
        (1, "USD", "0.01", True),
        (0, "USD", "0.01", True),
        (10**18, "USD", "3000.00", False),
        (3 * 10**14, "JPY", "1", True),
        (6 * 10**14, "JPY", "2", False),
        (42_000 * GWEI, "KWD", "0.126", False),
    ],
)
def test_a_fee_is_shown_in_the_sessions_currency_and_never_as_nothing(
    wei: int, currency: str, amount: str, is_less: bool
) -> None:
    fee = network_fee(wei, ETH, Decimal(3000), currency)
    assert fee is not None
    assert (fee.fiat, fee.is_less) == (Fiat(Decimal(amount), currency), is_less)


@pytest.mark.parametrize(
    ("price_wei", "price"),
    [(2**256 - 1, Decimal(3000)), (10**21, Decimal("0.01")), (10**15, Decimal(10**30)), (10**60, Decimal("1e-18"))],
)
def test_an_absurd_price_of_gas_is_no_fee(price_wei: int, price: Decimal) -> None:
    assert network_fee(GasCost(price_wei).of_transfer(USDC), ETH, price, "USD") is None


def test_depth_takes_its_blocks_and_finality_as_long_as_it_lags() -> None:
    assert ChainPace(12).seconds_to_confirm(3) == 36
    assert ChainPace(12, 64).seconds_to_confirm(3) == 768


def test_the_pace_is_that_between_two_blocks() -> None:
    newer = (110, NOW)
    assert pace((100, NOW - timedelta(seconds=120)), newer) == ChainPace(12)
    assert pace((100, NOW - timedelta(seconds=120)), newer, 46) == ChainPace(12, 64)
    assert pace((100, NOW - timedelta(seconds=120)), newer, 110) == ChainPace(12, 1)


@pytest.mark.parametrize(
    "older",
    [(110, NOW), (109, NOW - timedelta(seconds=1)), (111, NOW - timedelta(hours=1)), (100, NOW - timedelta(hours=1))],
    ids=["no block", "too short", "backwards", "stood still"],
)
def test_a_stretch_that_tells_nothing_gives_no_pace(older: tuple[int, datetime]) -> None:
    assert pace(older, (110, NOW)) is None
