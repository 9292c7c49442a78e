"""Reading who says what the newest version is: GitHub's shape and our own, and nothing that could do harm."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.upkeep.versions import NoRelease, Release, read_release

PAGE = "https://example.com/releases/1.2.3"
OURS = {"version": "1.2.3", "url": PAGE}


def test_our_own_shape_with_and_without_notes() -> None:
    assert read_release(OURS) == Release("1.2.3", PAGE, "")
    assert read_release({**OURS, "notes": "Fixes\n a\tthing.\x00\u202e"}).notes == "Fixes a thing."
    assert read_release({**OURS, "notes": 5}).notes == ""
    long = read_release({**OURS, "notes": "word " * 500}).notes
    assert len(long) <= 300
    assert long.endswith("word…")


def test_a_release_of_github() -> None:
    release = read_release(
        {
            "url": "https://api.github.com/repos/octocat/Hello-World/releases/1",
            "html_url": "https://github.com/octocat/Hello-World/releases/v1.4.0",
            "tag_name": "v1.4.0",
            "name": "Backups by themselves",
            "draft": False,
            "prerelease": False,
            "body": "# Long",
        }
    )
    assert release == Release(
        "1.4.0", "https://github.com/octocat/Hello-World/releases/v1.4.0", "Backups by themselves"
    )
    assert release.host == "github.com"


@pytest.mark.parametrize(
    "answer",
    [
        None, [], "1.2.3", 5, {}, {"version": "1.2.3"}, {"url": PAGE}, {**OURS, "version": 1.2},
        {**OURS, "version": "1.2.3-rc1"}, {**OURS, "version": "2"}, {**OURS, "version": "1.2.3<script>"},
        {**OURS, "version": "1." * 9 + "1"}, {**OURS, "version": "9999999.1"}, {**OURS, "version": "١.٢.٣"},
        {**OURS, "prerelease": True}, {**OURS, "draft": True}, {"tag_name": "v1.2.3"},
        {"tag_name": "nightly", "html_url": PAGE},
    ],
)  # fmt: skip
def test_what_names_no_final_version_is_refused(answer: Any) -> None:
    with pytest.raises(NoRelease):
        read_release(answer)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "javascript:alert(1)", "https:", "https://", "//example.com/", "https://a:b@example.com/",
        'https://example.com/"><script>', "https://example.com/ x", "https://exa mple.com", "https://[", "https://x:0/",
        "https://x:99999/", "https://example.com/\n", "https://exämple.com/", "https://x/" + "a" * 500, None, 5, "",
        "https://example.com\\@evil.test/", "https://-/", "data:text/html,x",
    ],
)  # fmt: skip
def test_a_page_that_isn_t_plainly_https_is_refused(url: Any) -> None:
    with pytest.raises(NoRelease):
        read_release({**OURS, "url": url})


@pytest.mark.parametrize(
    ("version", "than", "is_newer"),
    [
        ("1.2.3", "1.2.2", True), ("1.10.0", "1.9.9", True), ("2.0", "1.99.99", True), ("1.2.3.1", "1.2.3", True),
        ("1.2.3", "1.2.3", False), ("1.2", "1.2.0", False), ("1.2.2", "1.2.3", False), ("0.9.0", "1.0.0", False),
        ("1.3.0", "1.3.0.dev4", False), ("1.3.0", "1.2.9.dev4+abc", True),
    ],
)  # fmt: skip
def test_only_a_higher_version_is_newer(version: str, than: str, is_newer: bool) -> None:
    assert Release(version, PAGE).is_newer_than(than) is is_newer


KEYS = st.sampled_from(["version", "url", "notes", "tag_name", "html_url", "name", "draft"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    )
)
def test_any_json_is_a_release_or_refused(answer: Any) -> None:
    try:
        release = read_release(answer)
    except NoRelease:
        return
    assert release.url.startswith("https://")
    assert release.notes.isprintable()
