"""What a page of the docs shows as code: fenced blocks, and indented lines that call a command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# A comment right above a block: it needs what a test has not, such as a GPU or weights, and is not run.
PARSED_ONLY = "<!-- not run in tests -->"
_FENCE = re.compile(
    r"(?P<note><!--[^\n]*-->\n+)?^(?P<indent> *)```(?P<language>\w*)(?P<title>[^\n]*)\n(?P<body>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
_INDENTED = re.compile(r"(?P<note><!--[^\n]*-->\n+)?(?<=\n\n)(?P<body>(?: {4}[^\n]*\n|\n(?= {4}))+)")


class Block(NamedTuple):
    """A piece of code on a page. `span`: where its body stands there, from `begin` to `end` with what fences it in.
    `output`: what a reader is told it prints.
    """

    language: str
    title: str
    body: str
    span: tuple[int, int]
    begin: int
    end: int
    runs: bool
    output: str | None = None
    output_span: tuple[int, int] = (0, 0)

    @property
    def lines(self) -> list[str]:
        """Lines of a shell block, continued ones joined."""
        return [line for line in re.sub(r"\\\n\s*", "", self.body).splitlines() if line.strip()]


def blocks(text: str) -> list[Block]:
    """All blocks of a page, from top to bottom; a `text` block right after another is its output."""
    found: list[Block] = []
    for block in sorted((*_fenced(text), *_indented(text)), key=lambda block: block.span):
        before = found[-1] if found else None
        if before is not None and block.language == "text" and not text[before.end : block.begin].strip():
            found[-1] = before._replace(output=block.body, output_span=block.span)
        else:
            found.append(block)
    return found


def _fenced(text: str) -> Iterator[Block]:
    for match in _FENCE.finditer(text):
        title = re.search(r'title="([^"]*)"', match["title"])
        runs = (match["note"] or "").strip() != PARSED_ONLY
        yield Block(
            match["language"], title[1] if title else "", match["body"], match.span("body"), *match.span(), runs
        )


def _indented(text: str) -> Iterator[Block]:
    plain = _FENCE.sub(lambda match: re.sub(r"[^\n]", "x", match[0]), text)
    for match in _INDENTED.finditer(plain):
        body = re.sub(r"(?m)^ {4}", "", match["body"])
        if re.match(r"\s*(blockcascade|torchrun|make|python)\b", body):
            runs = (match["note"] or "").strip() != PARSED_ONLY
            yield Block("sh", "", body, match.span("body"), *match.span(), runs)
