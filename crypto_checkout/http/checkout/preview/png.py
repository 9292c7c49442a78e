"""Read and write PNG images (W3C Portable Network Graphics, third edition), as far as link previews need them.

Read are images of 8 bits a channel without interlacing, of every colour type; that is what programs export.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_GREY, _RGB, _PALETTE, _GREY_ALPHA = 0, 2, 3, 4
_EIGHT_BITS = 8


class Unreadable(ValueError):
    """An image of another kind, damaged, or larger than what is worth reading."""


@dataclass(frozen=True, slots=True)
class Image:
    """Rows of pixels; each row is red, green, blue and opacity in turn."""

    width: int
    height: int
    rows: Sequence[bytes]


def write(width: int, rows: Sequence[bytes], *, is_grey: bool = False) -> bytes:
    """Return rows of red, green and blue, or of grey, as a PNG file."""
    header = struct.pack(">IIBBBBB", width, len(rows), _EIGHT_BITS, _GREY if is_grey else _RGB, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def read(data: bytes, *, most_pixels: int) -> Image:
    """Read an image. Raises Unreadable."""
    try:
        return _read(dict(_chunks(data)), most_pixels)
    except (struct.error, zlib.error, KeyError, IndexError) as error:
        raise Unreadable("a damaged PNG") from error


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks by their kind; the pixels, which may be in several, as one."""
    if not data.startswith(_SIGNATURE):
        raise Unreadable("no PNG")
    at, pixels = len(_SIGNATURE), []
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        if kind == b"IDAT":
            pixels.append(body)
        else:
            yield kind, body
        at += size + 12
    yield b"IDAT", b"".join(pixels)


def _read(chunks: dict[bytes, bytes], most_pixels: int) -> Image:
    width, height, bits, kind, _, _, is_interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if bits != _EIGHT_BITS or is_interlaced or not 0 < width * height <= most_pixels:
        raise Unreadable("a PNG of another kind")
    channels = _CHANNELS[kind]
    size = (width * channels + 1) * height
    raw = zlib.decompressobj().decompress(chunks[b"IDAT"], size)
    if len(raw) < size:
        raise Unreadable("a PNG that ends too early")
    rows = _unfiltered(raw, width * channels, channels)
    if kind == _PALETTE:
        colours, opacities = chunks[b"PLTE"], chunks.get(b"tRNS", b"")
        palette = [colours[3 * i : 3 * i + 3] + (opacities[i : i + 1] or b"\xff") for i in range(len(colours) // 3)]
        return Image(width, height, [b"".join([palette[index] for index in row]) for row in rows])
    return Image(width, height, [_coloured(row, kind, width) for row in rows])


def _coloured(row: bytes, kind: int, width: int) -> bytes:
    """Return a row of any colour type but a palette's as red, green, blue and opacity."""
    channels = _CHANNELS[kind]
    pixels = bytearray(b"\xff" * (4 * width))
    for place in range(3):
        pixels[place::4] = row[(place if channels > 2 else 0) :: channels]  # noqa: PLR2004 - grey is all three
    if channels in (2, 4):
        pixels[3::4] = row[channels - 1 :: channels]
    return bytes(pixels)


def _unfiltered(raw: bytes, size: int, step: int) -> list[bytes]:
    """Undo the filter of each row (section 9)."""
    rows: list[bytes] = []
    above = bytes(size)
    for start in range(0, len(raw) - size, size + 1):
        row = bytearray(raw[start + 1 : start + 1 + size])
        _FILTERS[raw[start]](row, above, step)
        above = bytes(row)
        rows.append(above)
    return rows


def _none(row: bytearray, above: bytes, step: int) -> None:
    """Leave the row as it is."""


def _sub(row: bytearray, above: bytes, step: int) -> None:  # noqa: ARG001 - a filter as the others
    for i in range(step, len(row)):
        row[i] = (row[i] + row[i - step]) & 255


def _up(row: bytearray, above: bytes, step: int) -> None:  # noqa: ARG001 - a filter as the others
    row[:] = bytes([(a + b) & 255 for a, b in zip(row, above, strict=True)])


def _average(row: bytearray, above: bytes, step: int) -> None:
    for i in range(len(row)):
        left = row[i - step] if i >= step else 0
        row[i] = (row[i] + (left + above[i]) // 2) & 255


def _paeth(row: bytearray, above: bytes, step: int) -> None:
    for i in range(len(row)):
        left, corner = (row[i - step], above[i - step]) if i >= step else (0, 0)
        up = above[i]
        to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
        others = up if to_up <= to_corner else corner
        row[i] = (row[i] + (left if to_left <= to_up and to_left <= to_corner else others)) & 255


_FILTERS = (_none, _sub, _up, _average, _paeth)
