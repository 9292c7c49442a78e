"""The stylesheet of the shop's color: it colors buttons and links, and keeps every text easy to read (WCAG 2.2)."""

from collections.abc import Iterable

PATH = "/branding/colors.css"
BLUE = "#1d55c9"
"""The color of a shop that chose none, as `tokens.css` has it."""

Rgb = tuple[int, int, int]

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
LEAST_CONTRAST = 4.5
"""Of text on its ground (WCAG 2.2, success criterion 1.4.3)."""

GROUNDS: dict[str, tuple[Rgb, ...]] = {
    "light": ((0xF2, 0xF4, 0xF7), WHITE, (0xF5, 0xF7, 0xFA)),
    "dark": ((0x0E, 0x11, 0x16), (0x18, 0x1C, 0x23), (0x13, 0x17, 0x1D)),
}
"""The grounds below links, as `tokens.css` has them: --ground, --card, --tint."""

_STEPS = 100
_LINEAR_BELOW = 0.04045
_HOVER = 0.18


def parse(text: str) -> Rgb:
    """Parse `#rrggbb`."""
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def contrast(one: Rgb, other: Rgb) -> float:
    """Return the contrast ratio of two colors, from 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def ink(ground: Rgb) -> Rgb:
    """Return black or white, whichever is easier to read on a color: the contrast is never below 4.58."""
    return max(BLACK, WHITE, key=lambda each: contrast(each, ground))


def readable(color: Rgb, grounds: Iterable[Rgb], towards: Rgb) -> Rgb:
    """Return the shade of a color nearest to it that can be read on all grounds: darker or lighter, by `towards`."""
    grounds = tuple(grounds)
    shades = (_mixed(color, towards, step / _STEPS) for step in range(_STEPS))
    return next((each for each in shades if min(contrast(each, g) for g in grounds) >= LEAST_CONTRAST), towards)


def button(text: str) -> tuple[str, str]:
    """Return the color `#rrggbb` of a button and that of the text on it, where there is no stylesheet: in mails."""
    return text, f"#{bytes(ink(parse(text))).hex()}"


def stylesheet(text: str) -> str:
    """Return the stylesheet for a color `#rrggbb`.

    Buttons have the very color, with black or white on it. Links and borders have a shade of it that can be read.
    """
    color = parse(text)
    on_button = ink(color)
    button = {
        "--button": color,
        # Away from the text on it, so that it stays as easy to read.
        "--button-dark": _mixed(color, BLACK if on_button == WHITE else WHITE, _HOVER),
        "--on-button": on_button,
    }
    light = readable(color, GROUNDS["light"], BLACK)
    dark = readable(color, GROUNDS["dark"], WHITE)
    return (
        _rule({**button, "--accent": light, "--accent-dark": _mixed(light, BLACK, _HOVER)})
        + "@media screen and (prefers-color-scheme: dark) {\n"
        + _rule({"--accent": dark, "--accent-dark": _mixed(dark, WHITE, _HOVER)})
        + "}\n"
    )


def _rule(values: dict[str, Rgb]) -> str:
    lines = "".join(f"  {name}: #{bytes(color).hex()};\n" for name, color in values.items())
    return f":root {{\n{lines}}}\n"


def _mixed(color: Rgb, towards: Rgb, share: float) -> Rgb:
    red, green, blue = (round(here + (there - here) * share) for here, there in zip(color, towards, strict=True))
    return red, green, blue


def _luminance(color: Rgb) -> float:
    """Return the relative luminance (WCAG 2.2, "relative luminance")."""
    red, green, blue = (_linear(channel / 255) for channel in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= _LINEAR_BELOW else ((channel + 0.055) / 1.055) ** 2.4
