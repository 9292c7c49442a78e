"""The payer's page in each status, the sessions that links hand out, and contents that the pages never have."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from crypto_checkout.core import errors
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.link import Link
from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.checkout.session import SETTLED, Session, SessionOptions, Status, Terms
from crypto_checkout.core.checkout.wallet_apps import WALLET_APPS, links_to
from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.ledger.payment import Payment, TransferKind
from crypto_checkout.core.money import Fiat, parse_units
from crypto_checkout.core.public import render
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.http import assets
from crypto_checkout.http.checkout import refusals, translations, visitors
from crypto_checkout.http.checkout.arrivals import NO_REFUND, arrivals
from crypto_checkout.http.checkout.branding.shop import Branding
from crypto_checkout.http.checkout.renderer import UNSCRIPTED, CheckoutRenderer, headers
from crypto_checkout.http.checkout.view import (
    PUBLIC_FIELDS,
    Code,
    PayerChain,
    Phase,
    View,
    address_groups,
    public_part,
    view,
    web_url,
)
from crypto_checkout.http.errors import STATUS
from crypto_checkout.services.checkout.rendered import RenderedSession
from crypto_checkout.services.checkout.session_reader import Receipts
from tests.support.factories import a_link, a_payment, a_session
from tests.support.sums import with_payments

NO_LINKS: Mapping[str, str] = {}
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
PRICE = 3_333_340_000_000_000
PART = 1_111_113_333_333_333
ADDRESS = Address("0x52908400098527886e0f7030069857d2e4169ee7")
TX_HASH = "0x" + "3f9ab2c7" * 8
ETH = Asset(1, "ETH", 18)
ENGLISH = translations.load("en")
USDC = Asset(8453, "USDC", 6, Address("0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"), usd_pegged=True)

SESSION = a_session(
    id="cs_01JDC3M5GZ0000000000000000",
    link_id="pl_01JDC3M5GZ0000000000000000",
    address=ADDRESS,
    asset=ETH,
    fiat=Fiat(Decimal(10), "USD"),
    rate=Rate("ETH", "USD", Decimal("2999.987"), ("fixed",), NOW),
    eth_price_usd="2999.987",
    terms=Terms(PRICE, PRICE, PRICE, NOW + timedelta(minutes=15), NOW + timedelta(minutes=75), 3),
    options=SessionOptions(
        success_url="https://shop.example/thanks?s={CHECKOUT_SESSION_ID}",
        cancel_url="https://shop.example/cart",
        customer_email="payer@example.org",
        metadata={"order": "1042"},
    ),
)


def paid(units: int, *, block: int = 10, at: datetime = NOW) -> Payment:
    return a_payment(to=ADDRESS, units=units, tx_hash=TX_HASH, block_number=block, block_time=at)


LATE = paid(PRICE, at=NOW + timedelta(days=1))


def resource(
    status: Status = Status.PENDING, payments: Sequence[Payment] = (), *, tip: int = 10, session: Session = SESSION
) -> SessionResource:
    tallied, shown = with_payments(replace(session, status=status), payments)
    return render.session(tallied, shown, Tip(tip, NOW), "https://pay.example")


def seen(
    shown: SessionResource, *, at: datetime = NOW, explorer_url: str = "https://etherscan.io/", **more: Any
) -> View:
    return view(shown, chain=PayerChain("Ethereum", explorer_url, "ETH", "https://rpc.example"), now=at, **more)


@cache
def renderer_of(shop: str) -> CheckoutRenderer:
    return CheckoutRenderer(branding=Branding(shop, Path("logo.svg")), public_url="https://pay.example")


def printed(
    shown: SessionResource,
    *,
    at: datetime = NOW,
    shop: str = "Acme",
    language: str = "en",
    link: Link | None = None,
    app_links: Mapping[str, str] = NO_LINKS,
    **more: Any,
) -> str:
    page = renderer_of(shop).render(
        "session.html",
        translations.load(language),
        path="/checkout/cs_1",
        view=seen(shown, at=at, **more),
        app_links=app_links,
        link=link,
        arrivals=arrivals(Receipts(RenderedSession(shown)), {}),
        refund=NO_REFUND,
        version='"v"',
    )
    return bytes(page.body).decode()


def text_of(page: str) -> str:
    """Return what a page says, without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", page)).split())


AFTER = SESSION.terms.expires_at
EVERY_PHASE: Mapping[Phase, tuple[SessionResource, datetime]] = {
    Phase.WAITING: (resource(), NOW),
    Phase.PARTIAL: (resource(Status.UNDERPAID, [paid(PART)]), NOW),
    Phase.CONFIRMING: (resource(Status.DETECTED, [paid(PRICE)]), NOW),
    Phase.SETTLED: (resource(Status.PAID, [paid(PRICE)], tip=12), NOW),
    Phase.TIME_UP: (resource(), AFTER),
    Phase.EXPIRED: (resource(Status.EXPIRED), AFTER),
    Phase.FAILED: (resource(Status.FAILED), AFTER),
}
"""All but the one in which the chain took back what was paid: that isn't in the session itself."""


# What the payer is asked for


def test_a_new_session_asks_for_the_price() -> None:
    shown = seen(resource())
    assert shown.phase is Phase.WAITING
    assert shown.asked["value"] == "0.00333334"
    assert shown.payment_uri.endswith(f"@1?value={PRICE}")


@pytest.mark.parametrize("status", [Status.PENDING, Status.UNDERPAID])
def test_after_a_part_the_rest_is_asked_for_deep_or_not(status: Status) -> None:
    shown = seen(resource(status, [paid(PART)]))
    assert shown.phase is Phase.PARTIAL
    assert shown.received["units"] == str(PART)
    assert shown.asked["units"] == str(PRICE - PART)
    assert shown.payment_uri.endswith(f"?value={PRICE - PART}")


@given(part=st.integers(1, PRICE - 1))
def test_amount_and_wallet_link_never_disagree(part: int) -> None:
    for payments in ([], [paid(part)]):
        shown = seen(resource(payments=payments))
        assert shown.payment_uri.endswith(f"?value={shown.asked['units']}")


@pytest.mark.parametrize("status", [Status.PENDING, Status.UNDERPAID])
def test_nothing_is_asked_for_once_the_time_is_up_whatever_the_watcher_has_seen(status: Status) -> None:
    payments = [paid(PART)] if status is Status.UNDERPAID else []
    assert seen(resource(status, payments), at=AFTER - timedelta(milliseconds=1)).asks
    shown = seen(resource(status, payments), at=AFTER)
    assert shown.phase is Phase.TIME_UP
    assert not shown.asks


@pytest.mark.parametrize("status", sorted(Status))
def test_every_status_has_a_phase_and_only_open_ones_ask(status: Status) -> None:
    shown = seen(resource(status))
    assert shown.headline
    assert shown.asks == (status in {Status.PENDING, Status.UNDERPAID})


@pytest.mark.parametrize("phase", [phase for phase in EVERY_PHASE if phase not in {Phase.WAITING, Phase.PARTIAL}])
def test_a_page_that_asks_for_nothing_shows_no_address_and_no_wallet_link(phase: Phase) -> None:
    shown, at = EVERY_PHASE[phase]
    page = printed(shown, at=at)
    assert "ethereum:" not in page
    assert '<code class="address"' not in page


# What the payer is told


def test_each_phase_comes_out_of_its_example() -> None:
    assert {phase: seen(shown, at=at).phase for phase, (shown, at) in EVERY_PHASE.items()} == {
        phase: phase for phase in Phase if phase is not Phase.REORGED
    }


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        (Phase.WAITING, "Waiting for your payment"),
        (Phase.PARTIAL, "Still to pay"),
        (Phase.CONFIRMING, "Confirmations: 1 of 3"),
        (Phase.SETTLED, "Payment complete"),
        (Phase.TIME_UP, "Don’t send money to this address"),
        (Phase.EXPIRED, "it isn’t lost"),
        (Phase.FAILED, "before paying again"),
    ],
)
def test_each_phase_says_what_matters(phase: Phase, said: str) -> None:
    shown, at = EVERY_PHASE[phase]
    assert said in text_of(printed(shown, at=at))


def test_the_coins_due_are_not_called_the_price_which_is_in_money() -> None:
    shown, at = EVERY_PHASE[Phase.PARTIAL]
    assert re.search(r"Amount\s*[\d.]+ ETH", text_of(printed(shown, at=at)))
    assert not re.search(r"Price\s*[\d.]+ ETH", text_of(printed(shown, at=at)))


def test_a_chain_that_calls_blocks_final_is_not_counted_beyond_what_is_required() -> None:
    shown = seen(resource(Status.DETECTED, [paid(PRICE)], tip=99))
    assert (shown.confirmations, shown.required_confirmations) == (3, 3)
    assert "Waiting for the network to finalize it" in printed(resource(Status.DETECTED, [paid(PRICE)], tip=99))


@pytest.mark.parametrize(
    ("status", "said"),
    [(Status.OVERPAID, "You sent more than the amount due"), (Status.PAID_LATE, "the shop may review it first")],
)
def test_too_much_and_too_late_are_thanked_for_and_explained(status: Status, said: str) -> None:
    page = printed(resource(status, [paid(PRICE)]))
    assert "Payment complete" in page
    assert said in page
    assert said not in printed(resource(Status.PAID, [paid(PRICE)]))


def test_what_was_overpaid_is_shown_exactly() -> None:
    extra = seen(resource(Status.OVERPAID, [paid(PRICE + 1)])).extra
    assert extra is not None
    assert (extra["units"], extra["value"]) == ("1", "0.000000000000000001")
    assert seen(resource(Status.PAID, [paid(PRICE + 1)])).extra is None


def test_a_payment_that_the_chain_took_back_is_not_asked_for_again() -> None:
    shown = seen(resource(), taken_back=True)
    assert shown.phase is Phase.REORGED
    assert not shown.asks
    page = printed(resource(), taken_back=True)
    assert "pay again now." in page
    assert page.index('<details class="again">') < page.index('id="address"')
    assert seen(resource(payments=[paid(PART)]), taken_back=False).phase is Phase.PARTIAL


@pytest.mark.parametrize("phase", EVERY_PHASE)
def test_who_waits_is_told_that_the_chain_is_not_seen(phase: Phase) -> None:
    shown, at = EVERY_PHASE[phase]
    said = "your payment isn’t lost. We’ll find it"
    assert (said in text_of(printed(shown, at=at, chain_visible=False))) == (phase is not Phase.SETTLED)
    assert said not in text_of(printed(shown, at=at))


# Starting again


LINK = a_link()


def test_who_paid_nothing_may_start_again_where_the_link_allows() -> None:
    again = 'href="/l/abc"'
    assert again in printed(resource(Status.EXPIRED), at=AFTER, link=LINK)
    assert again not in printed(resource(Status.EXPIRED), at=AFTER, link=replace(LINK, active=False))
    assert again not in printed(resource(Status.EXPIRED), at=AFTER)
    assert again not in printed(resource(Status.EXPIRED, [LATE]), at=AFTER, link=LINK)
    assert again not in printed(resource(Status.EXPIRED), at=AFTER, link=LINK, taken_back=True)
    assert again not in printed(resource(), at=AFTER, link=LINK)


# The code to scan


def test_the_safer_code_of_a_coin_is_the_request_and_of_a_token_the_address() -> None:
    coin, token = seen(resource()), seen(resource(session=replace(SESSION, asset=USDC)))
    assert (coin.code, coin.code_text) == (Code.REQUEST, coin.payment_uri)
    assert (token.code, token.code_text) == (Code.ADDRESS, token.address)


@pytest.mark.parametrize("code", Code)
def test_the_payer_may_choose_the_other_code(code: Code) -> None:
    assert seen(resource(), code=code).code is code


def test_a_tokens_request_is_offered_as_a_code_with_a_warning_and_never_as_a_link() -> None:
    token = resource(session=replace(SESSION, asset=USDC))
    assert "ethereum:" not in printed(token)
    assert seen(token, code=Code.REQUEST).code_text == token["paymentUri"]
    chosen = printed(token, code=Code.REQUEST)
    assert "ethereum:" not in chosen
    assert "Some wallets misread this code" in chosen


# Wallet apps on a phone


def test_wallet_apps_are_offered_for_a_coin_and_for_a_token() -> None:
    for session in (SESSION, replace(SESSION, asset=USDC)):
        shown = resource(session=session)
        page = printed(shown, app_links=links_to(shown["checkoutUrl"]))
        for app in WALLET_APPS:
            assert f'href="{html.escape(app.link_to(shown["checkoutUrl"]))}" target="_top" rel="noreferrer"' in page
        assert 'id="apps"' not in printed(shown)


# The wallet in the browser


@given(units=st.integers(1, 10**30))
def test_the_wallet_is_asked_for_exactly_what_the_page_shows(units: int) -> None:
    terms = replace(SESSION.terms, amount_units=units, minimum_units=units, maximum_units=units)
    coin = seen(resource(session=replace(SESSION, terms=terms)))
    assert (coin.call.to.lower(), int(coin.call.value, 16), coin.call.data) == (ADDRESS, units, "0x")
    token = seen(resource(session=replace(SESSION, asset=USDC, terms=terms)))
    assert (token.call.to.lower(), token.call.value) == (USDC.contract, "0x0")
    assert token.call.data == f"0xa9059cbb{int(ADDRESS, 16):064x}{units:064x}"


def test_a_wallet_is_never_asked_in_test_mode() -> None:
    assert 'id="wallets"' in printed(resource())
    assert 'id="wallets"' not in printed({**resource(), "livemode": False})


def test_a_payment_after_the_window_is_acknowledged() -> None:
    shown = resource(Status.EXPIRED, [LATE])
    assert seen(shown, at=AFTER).late_payment
    assert "Your payment arrived after the deadline" in printed(shown, at=AFTER)


def test_a_part_that_came_in_time_is_acknowledged_when_the_time_is_up() -> None:
    assert "Only part of the amount arrived in time" in printed(resource(Status.UNDERPAID, [paid(PART)]), at=AFTER)


def test_an_accepted_late_payment_is_shown_with_its_transaction() -> None:
    shown = seen(resource(Status.PAID, [LATE]))
    assert shown.phase is Phase.SETTLED
    assert not shown.received_something
    assert shown.transaction is not None
    assert shown.transaction.url == f"https://etherscan.io/tx/{TX_HASH}"


@pytest.mark.parametrize("explorer_url", ["", "javascript:alert(1)//"])
def test_without_a_web_explorer_the_transaction_has_no_link(explorer_url: str) -> None:
    shown = seen(resource(Status.PAID, [paid(PRICE)]), explorer_url=explorer_url)
    assert shown.transaction is not None
    assert shown.transaction.url is None


def test_money_without_a_named_transaction_shows_none() -> None:
    internal = Payment(replace(paid(PRICE).transfer, kind=TransferKind.INTERNAL, tx_hash=None))
    assert seen(resource(Status.PAID, [internal])).transaction is None


def test_only_what_can_still_change_is_looked_at_again() -> None:
    for phase, (shown, at) in EVERY_PHASE.items():
        waits = phase is not Phase.SETTLED
        assert (seen(shown, at=at).poll_milliseconds > 0) == waits
        assert ('http-equiv="refresh"' in printed(shown, at=at)) == waits


@pytest.mark.parametrize("phase", EVERY_PHASE)
def test_only_a_test_session_wears_the_banner(phase: Phase) -> None:
    shown, at = EVERY_PHASE[phase]
    assert "Test mode: no" not in printed(shown, at=at)
    assert "Test mode: no real money" in printed({**shown, "livemode": False}, at=at)


def test_only_an_open_test_session_can_be_paid_with_test_money() -> None:
    form = 'method="post"'
    assert form not in printed(resource())
    assert form in printed({**resource(), "livemode": False})
    assert form not in printed({**resource(Status.PAID), "livemode": False})


# The ways out


def test_the_success_url_takes_a_settled_payer_along_with_the_sessions_id() -> None:
    shown = seen(resource(Status.PAID))
    assert shown.leave_url == shown.back_url == f"https://shop.example/thanks?s={SESSION.id}"


@pytest.mark.parametrize("phase", [phase for phase in EVERY_PHASE if phase is not Phase.SETTLED])
def test_nobody_is_told_the_success_url_before_the_session_is_settled(phase: Phase) -> None:
    shown, at = EVERY_PHASE[phase]
    assert "thanks" not in printed(shown, at=at)
    assert public_part(shown)["successUrl"] is None


def test_a_payer_may_cancel_until_money_has_arrived() -> None:
    offered = {phase for phase, (shown, at) in EVERY_PHASE.items() if seen(shown, at=at).cancel_url}
    assert offered == {Phase.WAITING}


@pytest.mark.parametrize(
    ("status", "return_url", "back"),
    [
        (Status.EXPIRED, "https://shop.example/back", "https://shop.example/back"),
        (Status.EXPIRED, None, "https://shop.example/cart"),
        (Status.FAILED, "https://shop.example/back", "https://shop.example/back"),
        (Status.PENDING, "https://shop.example/back", None),
    ],
)
def test_the_way_back_is_the_return_url_or_else_the_cancel_url(
    status: Status, return_url: str | None, back: str | None
) -> None:
    assert seen({**resource(status), "returnUrl": return_url}).back_url == back


@pytest.mark.parametrize(
    "shown",
    [
        resource(Status.DETECTED, [paid(PRICE)]),
        resource(Status.UNDERPAID, [paid(PART)]),
        resource(Status.EXPIRED, [LATE]),
        resource(Status.FAILED),
    ],
)
def test_nobody_whose_money_is_under_way_is_offered_to_cancel(shown: SessionResource) -> None:
    assert "shop.example/cart" not in printed(shown)
    assert "shop.example/cart" not in printed(shown, at=AFTER)


def test_a_settled_payer_is_never_sent_to_the_cancel_url() -> None:
    assert seen({**resource(Status.PAID), "successUrl": None}).back_url is None


@pytest.mark.parametrize("place", ["{CHECKOUT_SESSION_ID}", "%7BCHECKOUT_SESSION_ID%7D", "%7bCHECKOUT_SESSION_ID%7d"])
def test_the_sessions_id_is_filled_in_however_a_url_builder_writes_its_place(place: str) -> None:
    assert web_url(f"https://shop.example/{place}?a={place}", "cs_1") == "https://shop.example/cs_1?a=cs_1"


@given(st.text(max_size=40))
def test_the_sessions_id_is_encoded_in_a_url(session_id: str) -> None:
    url = web_url("https://shop.example/?a={CHECKOUT_SESSION_ID}&b=1", session_id)
    assert url is not None
    assert re.fullmatch(r"https://shop\.example/\?a=[A-Za-z0-9_.~%-]*&b=1", url)


@given(st.text(max_size=20) | st.sampled_from(["javascript:alert(1)", "JavaScript:1", " https://x", "data:text/html,"]))
def test_no_url_but_a_web_url_reaches_a_page(url: str) -> None:
    assert web_url(url, "cs_1") is None or url.lower().startswith(("http://", "https://"))


# What is public


def test_the_merchants_own_fields_are_not_public() -> None:
    assert SessionResource.__annotations__.keys() - PUBLIC_FIELDS >= {"linkId", "customerEmail", "metadata"}
    assert SessionResource.__annotations__.keys() >= PUBLIC_FIELDS


@pytest.mark.parametrize("status", sorted(Status))
def test_the_status_holds_the_public_fields_and_no_others(status: Status) -> None:
    part = public_part(resource(status))
    assert part.keys() == PUBLIC_FIELDS
    assert (part["successUrl"] is not None) == (status in SETTLED)


@pytest.mark.parametrize("phase", EVERY_PHASE)
def test_no_page_holds_what_is_the_merchants_alone(phase: Phase) -> None:
    shown, at = EVERY_PHASE[phase]
    page = printed(shown, at=at)
    assert all(secret not in page for secret in ("payer@example.org", "1042", "pl_01"))


# How it is written


def test_an_address_is_cut_into_groups_that_make_the_address_again() -> None:
    groups = address_groups(resource()["address"])
    assert groups[0] == "0x"
    assert [len(group) for group in groups[1:]] == [5] * 8
    assert "".join(groups) == resource()["address"]


def test_a_page_holds_amount_and_address_as_one_can_select_and_paste_them() -> None:
    page = printed(resource())
    address = re.search(r'<code class="address" id="address"[^>]*>(.*?)</code>', page, re.DOTALL)
    assert address is not None
    assert re.sub(r"<[^>]*>", "", address[1]) == resource()["address"]
    assert '<data id="amount" value="0.00333334">0.00333334</data>' in page


@given(st.integers(1, 10**30))
def test_a_coin_amount_on_the_page_is_exact(units: int) -> None:
    amount = render.amount(ETH, units)
    value, unit = ENGLISH.money(amount).split(" ")
    assert parse_units(value, 18) == units
    assert unit == "ETH"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ({"amount": "10.00", "currency": "USD"}, "10.00 USD"),
        ({"amount": "1234567.891", "currency": "KWD"}, "1,234,567.891 KWD"),
        ({"amount": "5000", "currency": "JPY"}, "5,000 JPY"),
        (render.amount(USDC, 10_000_000), "10 USDC"),
        (render.amount(ETH, 12_345_123_456_789_012_345_678), "12345.123456789012345678 ETH"),
    ],
)
def test_money_is_written_with_its_unit_and_commas_in_fiat_only(amount: Mapping[str, str], text: str) -> None:
    assert ENGLISH.money(amount) == text


def test_a_moment_is_written_in_utc() -> None:
    assert ENGLISH.moment("2026-11-03T10:05:00.000+01:00") == "Nov 3, 2026, 09:05 UTC"


@pytest.mark.parametrize(
    ("rate", "currency", "text"),
    [
        ("2999.987", "USD", "2999.99"),
        ("1", "USD", "1.00"),
        ("0.92", "USD", "0.9200"),
        ("0.0000123456", "USD", "0.00001235"),
        ("150000", "USD", "150000.00"),
        ("1" + "0" * 30, "USD", "1" + "0" * 30 + ".00"),
        ("450123.7", "JPY", "450124"),
        ("150.2", "JPY", "150"),
        ("75.4", "JPY", "75.40"),
        ("921.2345", "KWD", "921.234"),
        ("0.3071", "KWD", "0.307"),
    ],
)
def test_a_rate_is_rounded_for_reading_to_the_decimals_of_its_currency(rate: str, currency: str, text: str) -> None:
    shown = resource()
    shown["rate"]["value"], shown["rate"]["quote"] = rate, currency
    assert seen(shown).rate["amount"] == text


# What no page holds


@pytest.mark.parametrize("livemode", [True, False])
@pytest.mark.parametrize("phase", EVERY_PHASE)
def test_no_page_needs_what_its_content_security_policy_forbids(phase: Phase, livemode: bool) -> None:
    shown, at = EVERY_PHASE[phase]
    page = printed({**shown, "livemode": livemode}, at=at)
    assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:", page, re.IGNORECASE)
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == ["", UNSCRIPTED]
    assert not re.findall(r'(?:\ssrc|<link[^>]*href)="(?!/static/|/branding/)', page)


@given(st.text("<>&\"'/= abc{}%", min_size=1, max_size=60))
def test_whatever_a_merchant_writes_is_shown_as_text(text: str) -> None:
    url = f"https://shop.example/{text}"
    page = printed({**resource(), "cancelUrl": url}, link=replace(LINK, title=text, description=text))
    assert html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;") in page
    assert page.replace(f"<script>{UNSCRIPTED}", "").count("<script>") == 0
    assert page.count("<p") == printed(resource(), link=replace(LINK, description="x")).count("<p")


def test_the_shops_name_is_shown_as_text() -> None:
    page = printed(resource(), shop="<script>alert(1)</script>")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.parametrize("phase", EVERY_PHASE)
def test_ids_on_a_page_are_unique(phase: Phase) -> None:
    shown, at = EVERY_PHASE[phase]
    ids = re.findall(r'\sid="([^"]*)"', printed({**shown, "livemode": False}, at=at))
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("name", "limit"), [("checkout.css", 16_000), ("checkout.js", 16_000)])
def test_stylesheet_and_script_stay_small(name: str, limit: int) -> None:
    assert (assets.FOLDER / name).stat().st_size < limit


def test_the_address_of_an_asset_changes_with_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("one", "utf-8")
    before = assets.urls(tmp_path)("a.css")
    (tmp_path / "a.css").write_text("two", "utf-8")
    assert before.startswith("/static/a.css?v=")
    assert assets.urls(tmp_path)("a.css") != before


# Who is asking


CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36"

BOTS = [
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (Macintosh) AppleWebKit/601.2.4 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
    "Twitterbot/1.0",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Slack-ImgProxy (+https://api.slack.com/robots)",
    "WhatsApp/2.23.20.0 A",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0) Chrome/116.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
    "Mozilla/5.0 (compatible; Applebot/0.1; +http://www.apple.com/go/applebot)",
    "http.rb/5.1.1 (Mastodon/4.2.1; +https://mastodon.example/; Bot)",
    "Mozilla/5.0 (compatible; SemrushBot/7~bl)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0)",
    "meta-externalagent/1.1",
    "Viber/21.5.0",
    "Mozilla/5.0 (compatible; Google-Safety; +http://www.google.com/bot.html)",
]

PEOPLE = [
    "",
    CHROME,
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (Linux; Android 9; CUBOT_X18_Plus) AppleWebKit/537.36 Chrome/96.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 11; CUBOT X30) AppleWebKit/537.36 Chrome/96.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Mobile/15E148 [FBAN/FBIOS;FBAV/489.0]",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Mobile/15E148 Instagram 356.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Mobile/15E148 [Pinterest/iOS]",
    "Mozilla/5.0 (Linux; Android 14) Chrome/130.0 Mobile Safari/537.36 Telegram-Android/11.4.2",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Mobile/15E148 [LinkedInApp]/9.29",
    "Mozilla/5.0 (Linux; Android 14) Chrome/130.0 Mobile Safari/537.36 Viber/21.5.0",
    "python-httpx/0.28.1",
    "curl/8.5.0",
]


SCANNERS = [
    "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
    "BarracudaCentral/1.0",
    "Mimecast Email Security",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Zscaler/6.1",
]


@pytest.mark.parametrize("user_agent", [*BOTS, *SCANNERS])
@pytest.mark.parametrize("is_https", [True, False])
def test_a_preview_bot_only_looks(user_agent: str, is_https: bool) -> None:
    assert visitors.is_preview("GET", Headers({"User-Agent": user_agent}), is_https=is_https)


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_a_persons_browser_or_script_wants_a_session(user_agent: str) -> None:
    assert not visitors.is_preview("GET", Headers({"User-Agent": user_agent}), is_https=False)
    sent = Headers({"User-Agent": user_agent, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"})
    assert not visitors.is_preview("GET", sent, is_https=True)


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile Safari/604.1"


@pytest.mark.parametrize("user_agent", [CHROME, FIREFOX, SAFARI])
def test_over_https_who_has_the_name_of_a_browser_and_does_not_behave_like_one_only_looks(user_agent: str) -> None:
    assert visitors.is_preview("GET", Headers({"User-Agent": user_agent}), is_https=True)
    assert not visitors.is_preview("GET", Headers({"User-Agent": user_agent}), is_https=False)


def test_a_browser_without_a_window_only_looks_over_https_and_tests_a_shop_elsewhere() -> None:
    headers = Headers({"User-Agent": CHROME.replace("Chrome", "HeadlessChrome"), "Sec-Fetch-Mode": "navigate"})
    assert visitors.is_preview("GET", headers, is_https=True)
    assert not visitors.is_preview("GET", headers, is_https=False)


@pytest.mark.parametrize(
    "user_agent",
    [
        "",
        "curl/8.5.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 15_8 like Mac OS X) AppleWebKit/605.1.15 Version/15.8 Safari/604.1",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 CriOS/130.0 Safari/604.1",
        "Mozilla/5.0 (Linux; Android 7.0) AppleWebKit/537.36 Chrome/70.0.3538.64 Mobile Safari/537.36",
    ],
)
def test_over_https_old_browsers_and_scripts_want_a_session(user_agent: str) -> None:
    assert not visitors.is_preview("GET", Headers({"User-Agent": user_agent}), is_https=True)


def test_a_request_without_a_user_agent_wants_a_session() -> None:
    assert not visitors.is_preview("GET", Headers({}), is_https=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
        ("X-Moz", "prefetch"),
        ("X-Purpose", "preview"),
    ],
)
def test_a_prefetch_only_looks_whatever_it_prefetches(name: str, value: str) -> None:
    headers = Headers({"User-Agent": CHROME, "Sec-Fetch-Mode": "navigate", name: value})
    assert visitors.is_preview("GET", headers, is_https=False)


def test_head_only_looks() -> None:
    assert visitors.is_preview("HEAD", Headers({"User-Agent": CHROME}), is_https=False)


SHOP = "https://shop.example"


@pytest.mark.parametrize(
    ("headers", "is_foreign"),
    [
        ({}, False),
        ({"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "same-site"}, True),
        ({"Sec-Fetch-Dest": "frame", "Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Dest": "object", "Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site", "Referer": f"{SHOP}/basket?x"}, False),
        ({"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site", "Referer": f"{SHOP}.evil.example/"}, True),
        ({"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site", "Referer": "http://shop.example/"}, True),
        ({"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site", "Referer": "https://[x"}, True),
    ],
)
def test_a_frame_of_a_site_that_is_not_named_is_foreign(headers: dict[str, str], is_foreign: bool) -> None:
    assert visitors.is_foreign_frame(Headers(headers), {SHOP}) is is_foreign


# What is said when there is nothing to show


@pytest.mark.parametrize(
    ("error", "status", "offers_retry"),
    [
        (errors.ResourceNotFound("row 7 of table x"), 404, False),
        (errors.LinkInactive("row 7 of table x"), 400, False),
        (errors.UnsupportedChain("row 7 of table x"), 400, False),
        (errors.UnsupportedAsset("row 7 of table x"), 400, False),
        (errors.AmountTooSmall("row 7 of table x"), 400, False),
        (errors.PriceUnavailable("row 7 of table x"), 503, True),
        (errors.WalletNotConfigured("row 7 of table x"), 503, True),
        (errors.ProviderFailed("row 7 of table x"), 503, True),
        (errors.RateLimitExceeded("row 7 of table x", retry_after_seconds=7), 429, True),
        (errors.CheckoutError("row 7 of table x"), 500, True),
    ],
)
def test_an_error_is_a_page_for_a_person(
    error: errors.CheckoutError | errors.RecoverableError, status: int, offers_retry: bool
) -> None:
    answer = refusals.render_error(
        CheckoutRenderer(branding=Branding("Acme"), public_url="https://pay.example"), ENGLISH, error, "/l/abc"
    )
    page = bytes(answer.body).decode()
    assert answer.status_code == status
    assert answer.media_type == "text/html"
    assert "row 7" not in page
    assert ('href="/l/abc"' in page) == offers_retry
    assert {name: answer.headers[name] for name in headers()} == headers()
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_during_an_outage_nobody_who_may_have_paid_is_told_that_nothing_was_paid() -> None:
    renderer = CheckoutRenderer(branding=Branding("Acme"), public_url="https://pay.example")
    error = errors.DatabaseFailed("the database failed")
    page = text_of(bytes(refusals.render_error(renderer, ENGLISH, error, "/checkout/cs_1").body).decode())
    assert "If you’ve paid, your payment isn’t lost. Try again in a moment." in page
    assert "charged" not in page


@pytest.mark.parametrize("code", sorted(refusals.BY_CODE))
def test_a_page_has_the_status_that_the_api_answers_with(code: str) -> None:
    assert refusals.BY_CODE[code].status == STATUS[code]


def test_who_comes_too_often_is_told_when_to_come_again() -> None:
    error = errors.RateLimitExceeded("slow down", retry_after_seconds=7)
    answer = refusals.render_error(
        CheckoutRenderer(branding=Branding(), public_url="https://pay.example"), ENGLISH, error, "/l/abc"
    )
    assert answer.headers["Retry-After"] == "7"
    assert "Wait 7 seconds" in text_of(bytes(answer.body).decode())
