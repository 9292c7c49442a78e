"""The pages in each language: complete, with every placeholder and plural form, and in the payer's own."""

import re
import string
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from babel import Locale, localedata
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.checkout.session import STATUSES
from crypto_checkout.http.checkout import translations
from crypto_checkout.http.checkout.translations import FOLDER, LANGUAGES

TEMPLATES = Path(translations.__file__).parent.parent / "templates" / "checkout"
STATIC = Path(translations.__file__).parent.parent / "static"
ENGLISH: Mapping[str, translations.Message] = translations.load("en").messages
SCRIPTS = {
    "ar": r"[\u0600-\u06ff]",
    "fa": r"[\u0600-\u06ff]",
    "he": r"[\u0590-\u05ff]",
    "ja": r"[\u3040-\u30ff\u4e00-\u9fff]",
    "ko": r"[\uac00-\ud7af]",
    "ru": r"[\u0400-\u04ff]",
    "uk": r"[\u0400-\u04ff]",
    "zh": r"[\u4e00-\u9fff]",
}
MAY_BE_AS_IN_ENGLISH = {"transaction", "address", "copy"}


def forms(message: translations.Message) -> Mapping[str, str]:
    return {"": message} if isinstance(message, str) else message


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_catalogue_is_a_language_that_can_be_chosen() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(LANGUAGES)


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_says_everything_with_the_same_placeholders(code: str) -> None:
    messages = translations.load(code).messages
    assert list(messages) == list(ENGLISH), "the same keys in the same order"
    for key, message in messages.items():
        wanted = set.union(*(placeholders(text) for text in forms(ENGLISH[key]).values()))
        assert isinstance(message, str) == isinstance(ENGLISH[key], str)
        for text in forms(message).values():
            assert placeholders(text) == wanted, key
            assert text == text.strip()
            assert text
            assert not re.search(r"[<>&\"]", text), key


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_message_about_a_number_has_the_plural_forms_of_its_language(code: str) -> None:
    wanted = {*Locale.parse(code).plural_form.tags, "other"}
    for key, message in translations.load(code).messages.items():
        if not isinstance(message, str):
            assert set(message) == wanted, key


@given(code=st.sampled_from(sorted(LANGUAGES)), count=st.integers(0, 10_000_000))
def test_every_number_finds_its_form(code: str, count: int) -> None:
    for say in (translations.load(code), translations.load(code).text):
        assert str(count) in say("next_done", count=count, network="Ethereum")


@pytest.mark.parametrize(
    ("code", "count", "part"),
    [
        ("en", 1, "1</bdi> confirmation on"),
        ("pl", 22, "22</bdi> potwierdzeniach"),
        ("ru", 21, "21</bdi> подтверждения"),
        ("ru", 5, "5</bdi> подтверждений"),
        ("ar", 2, "تأكيدين"),
        ("ar", 11, "تأكيدًا"),
        ("he", 2, "שני אישורים"),
        ("fr", 0, "0</bdi> confirmation sur"),
    ],
)
def test_the_form_is_the_right_one(code: str, count: int, part: str) -> None:
    assert part in translations.load(code)("next_done", count=count, network="Base")


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_nothing_was_left_in_english(code: str) -> None:
    messages = translations.load(code).messages
    same = {key for key, message in messages.items() if message == ENGLISH[key]}
    assert len(same) <= len(MAY_BE_AS_IN_ENGLISH), same
    if code in SCRIPTS:
        for key, message in messages.items():
            for text in forms(message).values():
                assert re.search(SCRIPTS[code], text), key


def test_french_punctuation_stays_on_the_line_of_its_word() -> None:
    for key, message in translations.load("fr").messages.items():
        for text in forms(message).values():
            assert not re.search(r"(?<![\u00a0\u202f])[:;!?»]|«(?!\u00a0)", text), key


@pytest.mark.parametrize("code", LANGUAGES)
def test_an_email_is_spelt_one_way_in_each_language(code: str) -> None:
    texts = " ".join(text for message in translations.load(code).messages.values() for text in forms(message).values())
    assert len(set(re.findall(r"\be-?mail", texts.lower()))) <= 1


def test_hebrew_prefixes_are_joined_by_a_maqaf() -> None:
    for key, message in translations.load("he").messages.items():
        for text in forms(message).values():
            assert not re.search(r"[\u0590-\u05ff]-\{", text), key


def test_every_message_is_used_and_every_used_one_exists() -> None:
    sources = [*TEMPLATES.glob("*.html"), *Path(translations.__file__).parent.rglob("*.py")]
    text = "\n".join(path.read_text("utf-8") for path in sources)
    composed = {"copy_", "qr_", "test_"}
    remarks = {info.remark for info in STATUSES.values() if info.remark is not None}
    named = set(re.findall(r'["\']([a-z_]+)["\']', text)) | remarks
    unused = {key for key in ENGLISH if key not in named and not any(key.startswith(part) for part in composed)}
    assert unused == set()
    asked = remarks | set(re.findall(r"""\bt(?:\.text|\.pattern)?\(["']([a-z_]+)["']""", text))
    assert {key for key in asked if key not in ENGLISH and key not in composed} == set()


def test_the_script_asks_for_words_that_the_page_gives() -> None:
    asked = set(re.findall(r"words\.([a-zA-Z]+)", (STATIC / "checkout.js").read_text("utf-8")))
    page = (TEMPLATES / "session.html").read_text("utf-8")
    given_words = set(re.findall(r'"([a-z_]+)"', page.partition('id="words"')[2]))
    given_words |= {name.replace("-", "_") for name in re.findall(r"data-([a-z-]+)=", page.partition('id="words"')[2])}
    assert {re.sub(r"([A-Z])", r"_\1", name).lower() for name in asked} <= given_words


@pytest.mark.parametrize(
    ("asked", "kept", "header", "code"),
    [
        (None, None, "", "en"),
        (None, None, "de-AT,de;q=0.9,en;q=0.8", "de"),
        (None, None, "nb, da;q=0.9, fr;q=0.4, it;q=0.5", "it"),
        (None, None, "en;q=0.1, iw", "he"),
        (None, None, "zh-Hant-TW", "en"),
        (None, None, "zh-TW,zh-Hant;q=0.9,ja;q=0.8", "ja"),
        (None, None, "zh-HK, zh;q=0.9, en;q=0.8", "zh"),
        (None, None, "zh-MO", "en"),
        (None, None, "zh-Hans-HK", "zh"),
        (None, None, "zh-CN", "zh"),
        (None, None, "zh-SG;q=0.5", "zh"),
        ("zh", None, "zh-TW", "zh"),
        (None, None, "de;q=0, fr;q=x, es", "es"),
        (None, None, "*", "en"),
        (None, "ja", "de", "ja"),
        ("ar", "ja", "de", "ar"),
        ("../../x", "tlh", "de", "de"),
    ],
)
def test_the_choice_comes_before_the_browsers_wish(asked: str | None, kept: str | None, header: str, code: str) -> None:
    assert translations.negotiate(asked, kept, header).code == code


@given(st.text(max_size=600))
def test_any_header_finds_a_language(header: str) -> None:
    assert translations.negotiate(None, None, header).code in LANGUAGES


def test_what_is_filled_in_is_text_and_keeps_its_own_direction() -> None:
    said = translations.load("ar")("pay_title", price="<b>10</b> USD")
    assert said == "ادفع <bdi>&lt;b&gt;10&lt;/b&gt; USD</bdi>"
    assert translations.load("ar").text("pay_title", price="10 USD") == "ادفع \u206810 USD\u2069"
    assert translations.load("en").text("pay_title", price="10 USD") == "Pay 10 USD"


@pytest.mark.parametrize(("code", "colon"), [("en", ": "), ("fr", "\u00a0: "), ("ja", "："), ("ar", ": ")])
def test_a_label_ends_with_the_colon_of_its_language(code: str, colon: str) -> None:
    assert translations.load(code).colon == colon


@pytest.mark.parametrize(
    ("code", "text"),
    [("en", "1,234.50 EUR"), ("de", "1.234,50 EUR"), ("fr", "1\u202f234,50 EUR"), ("fa", "1,234.50 EUR")],
)
def test_fiat_is_written_as_the_language_does_and_coins_as_wallets_take_them(code: str, text: str) -> None:
    assert translations.load(code).money({"amount": "1234.50", "currency": "EUR"}) == text
    assert translations.load(code).money({"value": "1234.5", "asset": "ETH"}) == "1234.5 ETH"


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("de-CH,de;q=0.9", "1’234’567.50 CHF"),
        ("de,de-CH;q=0.9", "1.234.567,50 CHF"),
        ("en-US,de-CH;q=0.9", "1,234,567.50 CHF"),
        ("es-419", "1,234,567.50 CHF"),
        ("es-MX", "1,234,567.50 CHF"),
        ("es-AR", "1.234.567,50 CHF"),
        ("es-ES", "1.234.567,50 CHF"),
        ("it-CH", "1’234’567.50 CHF"),
        ("en-IN", "12,34,567.50 CHF"),
        ("pt-PT", "1\xa0234\xa0567,50 CHF"),
        ("ar-EG", "1,234,567.50 CHF"),
        ("de-XX-nonsense-", "1.234.567,50 CHF"),
    ],
)
def test_numbers_are_written_as_in_the_browsers_region(header: str, text: str) -> None:
    words = translations.negotiate(None, None, header)
    assert words.money({"amount": "1234567.50", "currency": "CHF"}) == text
    assert words.tag == header[:2]


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_is_found_by_its_code_and_tagged_as_itself_in_every_region(code: str) -> None:
    regions = [each for each in localedata.locale_identifiers() if each.split("_")[0] == code]
    assert regions
    for region in regions:
        words = translations.negotiate(None, None, region.replace("_", "-"))
        if code == "zh" and "Hant" in region:
            assert words.code == "en"
            continue
        assert (words.code, words.tag) == (code, "zh-Hans" if code == "zh" else code)
        assert words.locale == Locale.parse(code), "its plural forms are those of the catalogue"
        assert re.fullmatch(rf"{code}(-[A-Za-z0-9]+)*", words.formats_tag)
        assert re.search(r"[0-9]", words.money({"amount": "1234.50", "currency": "EUR"}))
        assert "2026" in words.moment("2026-11-23T09:30:00.000Z") or code == "fa"


def test_who_chose_a_language_keeps_the_formats_of_the_own_region() -> None:
    assert translations.negotiate("de", None, "en-US,de-CH;q=0.1").formats_tag == "de-CH"
    assert translations.negotiate("de", None, "en-US").formats_tag == "de"
    assert translations.negotiate("zh", None, "zh-TW").formats_tag == "zh"


@pytest.mark.parametrize("code", LANGUAGES)
def test_only_the_scripts_written_from_right_to_left_are(code: str) -> None:
    assert (translations.load(code).direction == "rtl") == (code in {"ar", "fa", "he"})


def test_a_catalogue_is_plain_toml() -> None:
    for path in FOLDER.iterdir():
        assert tomllib.loads(path.read_text("utf-8"))
