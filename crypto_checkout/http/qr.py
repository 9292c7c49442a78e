"""QR codes as SVG: inline in a page, without inline styles, or as a file."""

import re
from functools import lru_cache, partial
from io import BytesIO
from itertools import chain, zip_longest
from operator import itemgetter
from typing import Any

import segno
from markupsafe import Markup
from segno import consts, encoder

_QUIET_ZONE_MODULES = 4
_LEVEL = "m"
_MASK = 2
_FILE_SCALE = 10
_BYTE_MODE = 4
_LONG_FROM_VERSION = 10
_END_OF_ROW = b"\x02"
_RUN = re.compile("[^\x01]*\x01+")

# segno gives no types for its parts.
_encoder: Any = encoder
_consts: Any = consts


@lru_cache(maxsize=512)
def svg(text: str) -> Markup:
    """Draw a text as a QR code, black on white with the quiet zone of ISO/IEC 18004, which scanners need.

    It has a viewBox and no size. The mask is fixed: trying all eight takes long, and hexadecimal digits look like noise
    under any of them.
    """
    content = text.encode()
    layout = _layout(len(content))
    size = layout.width + 2 * _QUIET_ZONE_MODULES
    return Markup(  # noqa: S704 - numbers only, nothing of the text
        f'<svg viewBox="0 0 {size} {size}" class="qr"><path fill="#fff" d="M0 0h{size}v{size}h-{size}z"/>'
        f'<path stroke="#000" d="M{_QUIET_ZONE_MODULES} {_QUIET_ZONE_MODULES}.5{layout.lines(content)}"/></svg>'
    )


class _Layout:
    """The codes of all texts of one length: version and level are the same, and each module shows one bit or none.

    segno draws the first of them. What the others have in common with it, the patterns and the mask, is taken from
    there, so that only their bits have to be computed: that takes a tenth of the time.
    """

    def __init__(self, length: int) -> None:
        sample = b"x" * length
        code = _encoder.encode(sample, error=_LEVEL, mode="byte", mask=_MASK, micro=False)
        self._length_bits = 8 if code.version < _LONG_FROM_VERSION else 16
        blocks = [each for each in _consts.ECC[code.version][code.error] for _ in range(each.num_blocks)]
        self._blocks = [(each.num_data, each.num_total - each.num_data) for each in blocks]
        self._data_words = sum(each.num_data for each in blocks)
        self._bits = 8 * sum(each.num_total for each in blocks)
        self.width = len(code.matrix)
        self._shown = itemgetter(*self._bits_of_modules(code.version))
        self._common = int.from_bytes(_END_OF_ROW.join(code.matrix)) ^ self._bits_shown(sample)
        self._move = lru_cache(maxsize=2048)(partial(_move, self.width))

    def lines(self, content: bytes) -> str:
        """Return the lines of dark modules, each from where the last one ended."""
        modules = (self._common ^ self._bits_shown(content)).to_bytes(self.width * (self.width + 1) - 1).decode()
        # The first line begins in the corner.
        return "".join(map(self._move, _RUN.findall(modules))).removeprefix("m0 0")

    def _bits_of_modules(self, version: int) -> list[int]:
        """Return the number of the bit that each module shows, row by row; modules without one show a last bit, 0."""
        rows = [list(row) for row in _encoder.make_matrix(self.width, self.width)]
        _encoder.add_finder_patterns(rows, self.width, self.width)
        _encoder.add_alignment_patterns(rows, self.width, self.width)
        free = 2
        _encoder.add_codewords(rows, range(free + 1, free + 1 + sum(row.count(free) for row in rows)), version)
        order = self._order()
        order += [self._bits] * 8  # the remainder
        shown = [[order[each - free - 1] if each > free else self._bits for each in row] for row in rows]
        return list(chain.from_iterable([*row, self._bits] for row in shown))[:-1]

    def _order(self) -> list[int]:
        """Return the bits in the order of their modules: words of all blocks take turns (ISO/IEC 18004, 7.6)."""
        words = iter(range(self._bits // 8))
        data = [[next(words) for _ in range(size)] for size, _ in self._blocks]
        checks = [[next(words) for _ in range(size)] for _, size in self._blocks]
        turns = chain(chain.from_iterable(zip_longest(*data)), chain.from_iterable(zip_longest(*checks)))
        return [8 * word + bit for word in turns if word is not None for bit in range(8)]

    def _bits_shown(self, content: bytes) -> int:
        """Return the bits of a text in the order of the modules, each in a byte."""
        head = (_BYTE_MODE << self._length_bits | len(content)) << 8 * len(content) | int.from_bytes(content)
        data = (head << 4).to_bytes((8 + self._length_bits) // 8 + len(content))
        # An empty word, as segno has it, and what pads the rest (7.4.10).
        data = (data + b"\0" + b"\xec\x11" * self._data_words)[: self._data_words]
        words = data
        start = 0
        for size, checks in self._blocks:
            words += _check_words(data[start : start + size], checks)
            start += size
        bits = f"{int.from_bytes(words) << 1:0{self._bits + 1}b}".encode()
        return int.from_bytes(self._shown(bits))


_layout = lru_cache(maxsize=64)(_Layout)


def _check_words(block: bytes, count: int) -> bytes:
    """Return the words that correct errors: the remainder of a division by the generator (ISO/IEC 18004, 7.5.2)."""
    multiples = _multiples(count)
    shift = 8 * (count - 1)
    below = (1 << shift) - 1
    rest = 0
    for word in block:
        rest = (rest & below) << 8 ^ multiples[rest >> shift ^ word]
    return rest.to_bytes(count)


@lru_cache(maxsize=32)
def _multiples(count: int) -> list[int]:
    """Return the generator polynomial of so many check words, times each value of a word."""
    powers, logs = _consts.GALIOS_EXP, _consts.GALIOS_LOG
    generator = _consts.GEN_POLY[count]
    return [0] + [int.from_bytes(powers[logs[word] + each] for each in generator) for word in range(1, 256)]


def _move(width: int, run: str) -> str:
    """Return the line of a run of dark modules, which the light ones since the last run precede."""
    length = run.count("\x01")
    first, *others = run[:-length].split(_END_OF_ROW.decode())
    right = len(others[-1]) + len(first) - width if others else len(first)
    return f"m{right} {len(others)}h{length}"


def file(text: str) -> bytes:
    """Draw a QR code as an SVG file, for print."""
    drawn = BytesIO()
    segno.make_qr(text, error=_LEVEL, mask=_MASK).save(
        drawn, kind="svg", border=_QUIET_ZONE_MODULES, dark="#000", light="#fff", scale=_FILE_SCALE
    )
    return drawn.getvalue()
