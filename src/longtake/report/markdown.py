"""A page as Markdown that also reads well as it is, in a terminal or a message."""

from __future__ import annotations

import re
from collections.abc import Iterator

from longtake.report.outline import Outline, Table, pieces

_SIGNS = re.compile(r"([\\*_\[\]<>|#])")


def to_markdown(outline: Outline) -> str:
    return "\n".join(_lines(outline)) + "\n"


def _lines(outline: Outline) -> Iterator[str]:
    yield f"# longtake: {_text(outline.title)}"
    yield ""
    yield _text(outline.window)
    for section in outline.sections:
        yield ""
        yield f"## {_text(section.heading)}"
        for advice in section.advice:
            yield ""
            yield f"* **{_text(advice.label)}**: {_text(advice.found)}"
            yield f"  {_text(advice.remedy)}"
        if section.table is not None:
            yield ""
            yield from _table(section.table)
        for line in section.lines:
            yield ""
            yield _text(line)
    yield ""
    yield _text(outline.made_by)


def _table(table: Table) -> Iterator[str]:
    yield _row(table.head)
    yield "|" + "---|" * len(table.head)
    for row in table.rows:
        yield _row(row)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(_text(cell) for cell in cells) + " |"


def _text(text: str) -> str:
    """Signs that mean something are text, but for code."""
    return "".join(f"`{piece}`" if is_code else _SIGNS.sub(r"\\\1", piece) for is_code, piece in pieces(text))
