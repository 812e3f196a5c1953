"""Reads what the pages under docs/ say: tables, sections, code. Knows no page."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
_FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")


def read(page: str) -> str:
    """The text of a page under docs/."""
    return (DOCS / page).read_text(encoding="utf-8")


def fences(text: str) -> list[tuple[str, str]]:
    """Fenced blocks: what stands after the first fence, and the code."""
    return [(info.strip(), code) for info, code in _FENCE.findall(text)]


def spans(text: str) -> list[str]:
    """What stands between backticks in the prose and the tables."""
    return _SPAN.findall(_FENCE.sub("", text))


def table(text: str, first_header: str) -> list[list[str]]:
    """The rows of the one table whose first column has that header; fails when there is not exactly one."""
    found = tables(text, first_header)
    assert len(found) == 1, f"{len(found)} tables begin with “{first_header}”"
    return found[0]


def tables(text: str, first_header: str) -> list[list[list[str]]]:
    """Every table whose first column has that header, as rows of cells."""
    found: list[list[list[str]]] = []
    for block in re.findall(r"(?:^\|.*\|\n?)+", _FENCE.sub("", text), re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        if head[0] == first_header:
            assert all(len(row) == len(head) for row in rows), (
                f"a row of “{first_header}” has a cell too many or too few"
            )
            found.append(rows)
    return found


def sections(text: str) -> list[str]:
    """The page cut at its headings of the third level; what a heading of the second level begins stands alone."""
    return [part.removeprefix("#") for part in re.split(r"^##(?=#? )", _FENCE.sub(_shielded, text), flags=re.MULTILINE)]


def _shielded(fence: re.Match[str]) -> str:
    """Comments in a shell look like headings."""
    return re.sub(r"^#", " #", fence.group(), flags=re.MULTILINE)
