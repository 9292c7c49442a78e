"""The button that shops copy into their own pages."""

from html.parser import HTMLParser
from pathlib import Path

from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.cli import main
from crypto_checkout.core.checkout.pay_button import pay_button
from crypto_checkout.http.docs.contents import FOLDER
from crypto_checkout.store.migrate import migrate


class Reader(HTMLParser):
    """Keeps what a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "a"
        self.links.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text("abc<>&\"' ", min_size=1))
def test_whatever_stands_on_it_is_text(label: str) -> None:
    seen = Reader(pay_button("https://pay.example.com/l/abc?a=1&b=2", label))
    assert seen.text == label
    assert [link["href"] for link in seen.links] == ["https://pay.example.com/l/abc?a=1&b=2"]


def test_making_a_link_shows_its_button(tmp_path: Path) -> None:
    migrate(tmp_path / "checkout.db")
    runner = CliRunner(env={"CHECKOUT__DATABASE__PATH": str(tmp_path / "checkout.db")})
    made = runner.invoke(main, ["links", "create", "--title", "Tea", "--amount", "3.50"])
    assert made.exit_code == 0, made.output
    url = made.stdout.splitlines()[0]
    assert pay_button(url, "Pay 3.50 USD") in made.stdout


def test_the_guide_shows_the_button_as_it_is_made() -> None:
    guide = (FOLDER / "payment-pages.md").read_text("utf-8")
    assert pay_button("http://127.0.0.1:4020/l/…", "Pay 10.00 USD") in guide
