"""Render Markdown as HTML, with an anchor at each heading and code that scrolls by keyboard.

A code block names its language, optionally followed by a file name; the output of commands is a block of `text`.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

_NOT_A_WORD = re.compile(r"[^a-z0-9]+")


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


def title(text: str) -> str:
    """Return the first heading."""
    tokens = _parser().parse(text)
    return next(inside.content for each, inside in itertools.pairwise(tokens) if each.tag == "h1")


def slug(heading: str) -> str:
    """Return a heading's anchor."""
    return _NOT_A_WORD.sub("-", heading.lower()).strip("-")


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "typographer": False}).enable("table")
    parser.add_render_rule("fence", _fence)
    return parser


def _fence(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> Any:
    del renderer, options, env
    token = tokens[index]
    file = token.info.partition(" ")[2]
    caption = Markup('<p class="file">{}</p>\n').format(file) if file else Markup()
    kind = Markup(' class="printed"') if token.info == "text" else Markup()
    return caption + Markup('<pre tabindex="0"{}><code>{}</code></pre>\n').format(kind, escape(token.content))
