"""Formulas of the documentation: LaTeX in Markdown becomes MathML, which browsers show without a script.

Inline as $`x`$, displayed as a code block of the language `math`: both are also what code hosts show as formulas.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree.ElementTree import Element, fromstring, register_namespace

from latex2mathml.converter import convert
from markdown import Extension, Markdown
from markdown.inlinepatterns import InlineProcessor
from pymdownx.superfences import SuperFencesException

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
register_namespace("", NAMESPACE)


def mathml(latex: str, *, display: str) -> str:
    """The formula as MathML; raises ValueError where it is not understood, instead of showing a command as text."""
    try:
        text = convert(latex.strip(), display=display)
    except Exception as error:  # its errors have no common class
        raise ValueError(f"The formula {latex.strip()!r} is not understood: {error!r}") from error
    bare = re.sub(r"\\[{}]", "", latex)
    if bare.count("{") != bare.count("}"):  # the converter passes over it
        raise ValueError(f"The formula {latex.strip()!r} is not understood: braces without their other half")
    left = re.search(r">\\\w+<", text)
    if left:
        raise ValueError(f"The formula {latex.strip()!r} has an unknown command: {left[0][1:-1]}")
    return text


def block(source: str, language: str, css_class: str, options: dict, md: Markdown, **more: Any) -> str:
    """A code block of the language `math`, for pymdownx.superfences; an empty line separates formulas."""
    try:
        formulas = [mathml(part, display="block") for part in re.split(r"\n\s*\n", source) if part.strip()]
    except ValueError as error:
        raise SuperFencesException(str(error)) from error
    return f'<div class="{css_class}">{"".join(formulas)}</div>'


class _Inline(InlineProcessor):
    def handleMatch(self, match: re.Match[str], data: str) -> tuple[Element, int, int]:  # noqa: N802 (Markdown's name)
        element = fromstring(mathml(match[1], display="inline"))
        # Markdown writes tags as they are: without the namespace, which HTML does not need.
        for part in element.iter():
            part.tag = part.tag.rpartition("}")[2]
        return element, match.start(0), match.end(0)


class Formulas(Extension):
    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 (Markdown's name)
        md.inlinePatterns.register(_Inline(r"\$`([^`]+)`\$", md), "formula", 195)


def makeExtension(**options: Any) -> Formulas:  # noqa: N802 (Markdown's name)
    return Formulas(**options)
