"""Render Markdown as HTML, with an anchor at each heading and code that scrolls by keyboard.

A code block names its language, optionally followed by a file name; the output of commands is a block of `text`.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

_NOT_A_WORD = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading with its level (1 to 6), its anchor, and the plain text up to the next one: prose first, then code."""

    level: int
    anchor: str
    title: str
    text: str


def render(text: str) -> Markup:
    """Render a document; HTML in it is escaped."""
    parser = _parser()
    tokens = parser.parse(text)
    for opening, inside in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", slug(inside.content))
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - rendered with HTML switched off


def inline(text: str) -> Markup:
    """Render a sentence with code and emphasis."""
    return Markup(_parser().renderInline(text))  # noqa: S704 - rendered with HTML switched off


def plain(text: str) -> str:
    """Return a sentence without its markup."""
    return " ".join(_words(_parser().parseInline(text)))


def title(text: str) -> str:
    """Return the first heading."""
    return next(iter(headings(text))).title


def headings(text: str) -> Iterator[Heading]:
    """Return a document's headings, each with its text."""
    tokens = _parser().parse(text)
    starts = [number for number, token in enumerate(tokens) if token.type == "heading_open"]
    for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True):
        content = tokens[start + 1].content
        below = sorted(tokens[start + 3 : end], key=lambda token: token.type == "fence")  # code last
        text = " ".join(" ".join(_words(below)).split())
        yield Heading(int(tokens[start].tag[1]), slug(content), plain(content), text)


def slug(heading: str) -> str:
    """Return a heading's anchor."""
    return _NOT_A_WORD.sub("-", heading.lower()).strip("-")


def _words(tokens: Sequence[Token]) -> Iterator[str]:
    """Return the text in tokens: of each block, without what makes it bold, a link or code."""
    for token in tokens:
        if token.type == "inline":
            yield "".join(" " if each.type == "softbreak" else each.content for each in token.children or ())
        elif token.type == "fence":
            yield token.content


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "typographer": False}).enable("table")
    parser.add_render_rule("fence", _fence)
    return parser


def _fence(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> Any:
    del renderer, options, env
    token = tokens[index]
    language, _, file = token.info.partition(" ")
    caption = Markup('<p class="file">{}</p>\n').format(file) if file else Markup()
    kind = Markup(' class="{}"').format({"text": "printed"}.get(language, language)) if language else Markup()
    return caption + Markup('<pre tabindex="0"{}><code>{}</code></pre>\n').format(kind, escape(token.content))
