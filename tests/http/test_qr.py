"""QR codes as SVG: the same as segno draws, which takes longer."""

import pytest
import segno

from crypto_checkout.http import qr


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "ethereum:0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266@1337?value=10000000000000000",
        "ethereum:0x00000000000000000000000000000000000005dC@1337/transfer?address=0x7099&uint256=12586957",
        *("x" * length for length in (50, 200, 700)),
    ],
)
def test_a_code_is_drawn_as_segno_draws_it(text: str) -> None:
    code = segno.make_qr(text, error="m", mask=2)
    expected = code.svg_inline(border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None)
    assert str(qr.svg(text)) == expected
