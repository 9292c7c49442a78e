import pytest

from crypto_checkout.core.sizes import size


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (41_000_000, "41 MB"), (3_140_000_000, "3.1 GB"),
        (9_960_000, "10 MB"), (999_900_000, "1.0 GB"), (12 * 10**12, "12 TB"),
    ],
)  # fmt: skip
def test_sizes_in_words(number: int, words: str) -> None:
    assert size(number) == words
