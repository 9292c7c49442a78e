"""QR codes as SVG: the same as segno draws, which takes longer."""

import pytest
import segno

from crypto_checkout.http import qr


def _text(length: int) -> str:
    return "".join(chr(32 + 59 * each * each % 95) for each in range(length))


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "ethereum:0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266@1337?value=10000000000000000",
        "ethereum:0x00000000000000000000000000000000000005dC@1337/transfer?address=0x7099&uint256=12586957",
        # All sizes up to 17, in their levels; from 10 on the length takes more bits, from 14 on the remainder fewer.
        *(_text(length) for length in range(2, 500, 17)),
        _text(1200),
    ],
    ids=len,
)
def test_a_code_is_drawn_as_segno_draws_it(text: str) -> None:
    qr.svg("x" * len(text))  # the texts of a length share what the first of them has found out
    code = segno.make_qr(text, error="m", mask=2)
    expected = code.svg_inline(border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None)
    assert str(qr.svg(text)) == expected
