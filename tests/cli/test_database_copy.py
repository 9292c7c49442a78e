"""`crypto-checkout database`: a shop moves to a PostgreSQL server and back, and gives no address out twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgresql import PostgresqlServer
from tests.support.server import Server, command

PRICE = {"amount": {"value": "30.00", "currency": "USD"}}


@pytest.fixture
def url(postgresql_server: PostgresqlServer, tmp_path: Path) -> Iterator[str]:
    made = postgresql_server.empty_database(tmp_path)
    yield made.url.replace("postgres@/", "postgres:hush@/")
    postgresql_server.drop(made)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop"


def sell(server: Server, key: str | None, times: int = 3) -> list[str]:
    """Make sessions, and return their addresses."""
    api = server.client(key)
    return [str(api.post("/checkout_sessions", json=PRICE).json()["address"]) for _ in range(times)]


def ids(server: Server, key: str | None) -> list[str]:
    return [each["id"] for each in server.client(key).get("/checkout_sessions").json()["data"]]


@pytest.mark.sqlite  # begins with a file
def test_a_shop_moves_there_and_back_and_no_address_is_given_out_twice(shop: Path, url: str) -> None:
    with Server(shop, "") as server:
        key = server.key
        given = sell(server, key)
        before = ids(server, key)
        refused = command(shop, "database", "copy", environ={"CHECKOUT_COPY_TO": url})
        assert refused.returncode == 1
        assert f"is being served. Stop process {server.process.pid}" in refused.stderr
    data = shop / "checkout-data"

    copied = command(shop, "database", "copy", environ={"CHECKOUT_COPY_TO": url})
    assert copied.returncode == 0, copied.stderr
    assert "hush" not in copied.stdout + copied.stderr
    assert "are now in postgresql://postgres:***@/" in copied.stdout
    assert f"{data / 'checkout.db'} is marked as moved, and no server starts on it." in copied.stdout
    assert "[database] url" in copied.stdout

    stale = command(shop, "serve")
    assert stale.returncode == 1
    assert "This database was moved to postgresql://postgres:***@/" in stale.stderr
    assert "This database was moved to" in command(shop, "keys", "list").stderr
    assert "This database was moved to" in command(shop, "backup").stderr, "or a nightly one would go on and on"
    doctor = command(shop, "doctor").stdout
    assert "This database was moved to" in doctor
    assert "Start it" not in doctor

    (shop / "checkout.toml").write_text(f'[database]\nurl = "{url}"\n', "utf-8")
    with Server(shop) as server:
        assert server.key is None, "the API keys came along"
        assert ids(server, key) == before
        given += sell(server, key)
        before = ids(server, key)
        refused = command(shop, "database", "copy", "--to", "back/checkout.db")
        assert f"Stop process {server.process.pid}" in refused.stderr

    copied = command(shop, "database", "copy", "--to", "back/checkout.db")
    assert copied.returncode == 0, copied.stderr
    assert (shop / "back" / "secret.key").read_bytes() == (data / "secret.key").read_bytes()
    assert "This database was moved to" in command(shop, "serve").stderr

    (shop / "checkout.toml").write_text('[database]\npath = "back/checkout.db"\n', "utf-8")
    with Server(shop) as server:
        assert ids(server, key) == before
        given += sell(server, key)
        assert "copied here without its record" not in server.log
    assert len(set(given)) == len(given) == 9


def test_one_that_was_left_is_served_again_only_on_purpose_and_passes_over_addresses(shop: Path, url: str) -> None:
    with Server(shop, "") as server:
        key = server.key
        given = sell(server, key)
    (shop / "url").write_text(f"{url}\n", "utf-8")
    copied = command(shop, "database", "copy", "--to-url-file", "url")
    assert copied.returncode == 0, copied.stderr
    other = shop.parent / "other"
    other.mkdir()
    (other / "checkout-data").mkdir()
    for name in ("secret.key", *(each.name for each in (shop / "checkout-data").glob("given-out-*"))):
        (other / "checkout-data" / name).write_bytes((shop / "checkout-data" / name).read_bytes())
    with Server(other, f'[database]\nurl = "{url}"\n') as server:
        given += sell(server, key, 20)
    assert "can be served again" in command(shop, "database", "reopen").stdout
    assert "nothing is to be done" in command(shop, "database", "reopen").stdout
    with Server(shop) as server:
        given += sell(server, key)
    assert len(set(given)) == len(given)


def test_a_place_that_is_served_is_refused_by_name(shop: Path, url: str) -> None:
    with Server(shop, ""):
        pass
    other = shop.parent / "other"
    other.mkdir()
    with Server(other, f'[database]\nurl = "{url}"\n') as server:
        refused = command(shop, "database", "copy", environ={"CHECKOUT_COPY_TO": url})
        assert refused.returncode == 1
        assert f"is served by {server.process.pid}@" in refused.stderr, refused.stderr
    refused = command(shop, "database", "copy", environ={"CHECKOUT_COPY_TO": url})
    assert "isn't empty, and nothing in it was changed" in refused.stderr
    with Server(shop):
        pass


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Name the place to copy to"),
        pytest.param(("--to", "elsewhere.db"), "Both places are files", marks=pytest.mark.sqlite),
        (("--to", "postgresql://ada:hush@/shop?host=/nowhere"), "postgresql://ada:***@/shop?host=/nowhere can't be"),
    ],
)
def test_a_place_that_can_not_be_is_told_with_what_to_do(shop: Path, arguments: tuple[str, ...], words: str) -> None:
    command(shop, "keys", "list")
    with Server(shop, ""):
        pass
    refused = command(shop, "database", "copy", *arguments)
    assert refused.returncode in {1, 2}
    assert words in refused.stderr
    assert "hush" not in refused.stderr


@pytest.mark.parametrize(
    ("to", "is_warned"),
    [
        ("postgresql://shop:hush@127.0.0.1:1/shop", True),
        ("postgresql://shop@127.0.0.1:1/shop?password=hush", True),
        ("postgresql://shop@127.0.0.1:1/shop?sslmode=disable", False),
    ],
)
def test_a_password_on_the_command_line_is_warned_of(shop: Path, to: str, *, is_warned: bool) -> None:
    (shop / "checkout.toml").write_text("", "utf-8")
    done = command(shop, "database", "copy", "--to", to)
    assert done.returncode == 1
    assert ("can read the password in this command" in done.stderr) is is_warned
    assert "hush" not in done.stderr
    assert "can read the password" not in command(shop, "database", "copy", environ={"CHECKOUT_COPY_TO": to}).stderr
