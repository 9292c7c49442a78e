"""Rules for new passwords: long and not obvious, nothing else (NIST SP 800-63B, section 5.1.1.2)."""

import re
import unicodedata
from collections.abc import Iterable

FEWEST_CHARACTERS = 12
MOST_CHARACTERS = 200

_FEWEST_DIFFERENT = 5
_FEWEST_OF_ONES_OWN = 5
_SHORTEST_RUN = 4
_SHORTEST_NAME = 4
_LONGEST_REPEATED = 7

_RUNS = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "qwertzuiop",
    "azertyuiop",
    "asdfghjkl",
    "zxcvbnm",
)
_LOOKALIKES = str.maketrans("013457@$!", "oleastasi")
_COMMON = """
    cryptocheckout correcthorsebatterystaple administrator qwertyuiop asdfghjkl password passwort motdepasse contrasena
    iloveyou princess sunshine football baseball basketball superman whatever trustnoone starwars internet computer
    changeme changeit letmein welcome bitcoin ethereum crypto checkout dashboard merchant payment wallet freedom qwerty
    monkey dragon master shadow michael jordan batman secret default access hello admin login owner money server shop
    store root user test pass word love live temp new the my is it me you i a
""".split()  # noqa: SIM905 - easier to read as words


def normalized(password: str) -> str:
    """Return the form in which a password is hashed (NFKC): keyboards differ in how they write an accent."""
    return unicodedata.normalize("NFKC", password)


def objection(password: str, names: Iterable[str] = ()) -> str | None:
    """Return the objection to a new password, None for a good one; `names` are the shop's, which are easy to guess."""
    if len(password) < FEWEST_CHARACTERS:
        return f"Use at least {FEWEST_CHARACTERS} characters, such as a few words only you would combine."
    if len(password) > MOST_CHARACTERS:
        return f"Use at most {MOST_CHARACTERS} characters."
    plain = password.lower()
    objections = {
        "This repeats itself and is easy to guess.": _repeats(plain),
        "This follows the alphabet or the keyboard and is easy to guess.": _is_little(_without_runs(plain)),
        "This consists of common words. Add some that only you would think of.": _is_little(_without(plain, _COMMON)),
        "This is little more than the shop's name. Add something unrelated to it.": _is_little(
            _without(plain, _words_of(names))
        ),
    }
    return next((sentence for sentence, holds in objections.items() if holds), None)


def _is_little(rest: str) -> bool:
    return len(rest) < _FEWEST_OF_ONES_OWN


def _repeats(plain: str) -> bool:
    """Tell whether it repeats a few characters or a short piece."""
    pieces = (plain[:size] for size in range(1, _LONGEST_REPEATED + 1))
    again = any((piece * len(plain))[: len(plain)] == plain for piece in pieces)
    return again or len(set(plain)) < _FEWEST_DIFFERENT


def _without_runs(plain: str) -> str:
    """Remove runs along the alphabet, the digits or the keyboard, forwards or backwards."""
    runs = (*_RUNS, *(run[::-1] for run in _RUNS))
    place, kept = 0, []
    while place < len(plain):
        end = place + 1
        while end < len(plain) and any(plain[place : end + 1] in run for run in runs):
            end += 1
        if end - place < _SHORTEST_RUN:
            kept.append(plain[place])
            end = place + 1
        place = end
    return "".join(kept)


def _without(plain: str, words: Iterable[str]) -> str:
    """Remove the words, also as `p4ssw0rd`, with the digits and signs around them."""
    letters = re.sub(r"[\W_]", "", plain.strip("0123456789!?.,-_*#+ ").translate(_LOOKALIKES))
    for word in sorted(words, key=len, reverse=True):
        letters = letters.replace(word, " ")
    return letters.replace(" ", "")


def _words_of(names: Iterable[str]) -> set[str]:
    """Return the shop's names, whole and split into words."""
    found = {re.sub(r"[\W_]", "", word) for name in names for word in (name.lower(), *name.lower().split())}
    return {word.translate(_LOOKALIKES) for word in found if len(word) >= _SHORTEST_NAME}
