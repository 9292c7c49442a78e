"""Owners and rights in folders that the server's user can write, while that user puts links in their places."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
import pytest

from crypto_checkout.cli.install import ownership

ROUNDS = 2000
OTHER = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A folder that the server's user must not get."""
    made = tmp_path / "etc"
    made.mkdir(mode=0o755)
    (made / "shadow").write_text("root:secret", "utf-8")
    (made / "shadow").chmod(0o600)
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of the server."""
    made = tmp_path / "home"
    made.mkdir()
    return made


@contextmanager
def exchanging(folder: Path, link_to: Path) -> Iterator[None]:
    """Exchange a folder for a link and back, as fast as can be."""
    ended = threading.Event()
    aside, link = folder.with_name("aside"), folder.with_name("link")

    def exchange() -> None:
        while not ended.is_set():
            for step in (
                lambda: link.symlink_to(link_to),
                lambda: folder.rename(aside),
                lambda: link.rename(folder),
                folder.unlink,
                lambda: aside.rename(folder),
            ):
                with suppress(OSError):  # root was faster, and made the folder
                    step()

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def often(work: Callable[[], None]) -> None:
    for _ in range(ROUNDS):
        with suppress(FileNotFoundError, FileExistsError, click.ClickException):
            work()


def is_untouched(etc: Path) -> bool:
    status, shadow = etc.stat(), (etc / "shadow").stat()
    return (
        os.listdir(etc) == ["shadow"]  # noqa: PTH208 - the names
        and (status.st_mode & 0o777, shadow.st_mode & 0o777) == (0o755, 0o600)
        and (status.st_uid, shadow.st_uid) == (os.geteuid(), os.geteuid())
    )


def test_a_folder_gets_its_owner_and_rights(home: Path) -> None:
    for _ in range(2):
        ownership.make_folder(home / "data" / "backups", home, os.geteuid(), os.getegid(), 0o700)
    assert (home / "data" / "backups").stat().st_mode & 0o777 == 0o700
    assert (home / "data").stat().st_mode & 0o777 == 0o755


def test_no_folder_is_made_behind_a_link(home: Path, etc: Path) -> None:
    (home / "data").symlink_to(etc)
    for place in (home / "data", home / "data" / "backups"):
        with pytest.raises(click.ClickException, match="is a link, or leads through one"):
            ownership.make_folder(place, home, os.geteuid(), os.getegid(), 0o700)
    assert is_untouched(etc)


def test_a_folder_that_becomes_a_link_meanwhile_gives_nothing_away(home: Path, etc: Path) -> None:
    data = home / "data"
    data.mkdir()
    with exchanging(data, etc):
        often(lambda: ownership.make_folder(data, home, os.geteuid(), os.getegid(), 0o700))
    assert is_untouched(etc)


def test_only_a_plain_file_with_one_name_gets_other_rights(home: Path, etc: Path) -> None:
    (home / "soft").symlink_to(etc / "shadow")
    (home / "hard").hardlink_to(etc / "shadow")
    os.mkfifo(home / "pipe")
    for name in ("soft", "hard", "pipe"):
        with pytest.raises(click.ClickException, match=r"a link|isn't a plain file"):
            ownership.restrict(home / name, os.geteuid(), os.getegid(), 0o640)
    assert is_untouched(etc)
    (home / "mine").touch(0o666)
    ownership.restrict(home / "mine", os.geteuid(), os.getegid(), 0o640)
    assert (home / "mine").stat().st_mode & 0o777 == 0o640


@as_root
def test_what_is_handed_over_is_in_the_folder_itself(home: Path, etc: Path) -> None:
    data, inner = home / "data", home / "data" / "inner"
    inner.mkdir(parents=True)
    (inner / "log").touch()
    (inner / "soft").symlink_to(etc / "shadow")
    (inner / "hard").hardlink_to(etc / "shadow")
    os.mkfifo(inner / "pipe")
    ownership.hand_over(data, home, OTHER, OTHER)
    assert {path.name for path in data.rglob("*") if path.lstat().st_uid == OTHER} == {"inner", "log"}
    assert is_untouched(etc)


@as_root
def test_a_folder_that_becomes_a_link_while_it_is_handed_over_gives_nothing_away(home: Path, etc: Path) -> None:
    data, inner = home / "data", home / "data" / "inner"
    inner.mkdir(parents=True)
    with exchanging(inner, etc):
        often(lambda: ownership.hand_over(data, home, OTHER, OTHER))
    assert is_untouched(etc)
