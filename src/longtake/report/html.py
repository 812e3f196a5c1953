"""A page as one HTML file with its pictures in it: it asks nobody for anything, today or in ten years.

Two scripts are in it, Plotly's and the few lines that call it. A policy names both by their digests and forbids every
other script and every connection: what might slip through the escaping would still do nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from html import escape

from longtake.report.outline import Outline, Section, Table, pieces
from longtake.report.pictures import Figure

_DRAW = """
for (const data of document.querySelectorAll("script[data-figure]")) {
  const figure = JSON.parse(data.textContent);
  Plotly.newPlot(data.previousElementSibling, figure.data, figure.layout, {displayModeBar: false, responsive: true});
}
"""
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.55 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; color: #1d2329;
  background: #f4f6f8; margin: 0; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 0 0 .5rem; }
header p, footer { color: #5b6670; margin: .25rem 0 1.25rem; }
section { background: #fff; border: 1px solid #dfe4e9; border-radius: .6rem; padding: 1rem 1.2rem; margin: 0 0 1rem; }
section p { color: #5b6670; margin: .5rem 0 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: #5b6670; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #eceff2; vertical-align: top; }
tr:last-child td { border-bottom: 0; }
code { font: .92em ui-monospace, monospace; background: #eef1f4; border-radius: .25rem; padding: .05em .3em; }
ul { list-style: none; margin: 0; padding: 0; }
li { border-left: .3rem solid; border-radius: .2rem; padding: .2rem 0 .2rem .8rem; margin: .6rem 0; }
li b { display: block; font-weight: 600; }
.bad { border-color: #d55e00; } .warning { border-color: #e69f00; } .hint { border-color: #56b4e9; }
.pill { font-size: .8em; font-weight: 600; color: #5b6670; text-transform: uppercase; letter-spacing: .04em; }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""
# Beside a section's own picture; the busy share of processors and cards belongs to the load.
_PICTURES = {"load": ("load", "busy"), "speed": ("speed",), "memory": ("memory",), "cards": ("cards",)}


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs  # here: nobody but this page needs it

    script: str = get_plotlyjs()
    return script.replace("</script", "<\\/script")


def to_html(outline: Outline, figures: Mapping[str, Figure], language: str) -> str:
    """The whole file; Plotly's script makes 4.8 MB of it. Without pictures there is no script in it."""
    scripts = [_plotly(), _DRAW] if figures else []
    policy = " ".join(
        (
            f"default-src 'none'; script-src {' '.join(map(_digest, scripts)) or chr(39) + 'none' + chr(39)};",
            "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'",
        )
    )
    sections = "\n".join(_section(section, figures) for section in outline.sections)
    drawn = "".join(f"<script>{script}</script>\n" for script in scripts)
    return f"""<!DOCTYPE html>
<html lang="{escape(language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>longtake: {escape(outline.title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<header><h1>longtake: {escape(outline.title)}</h1><p>{_text(outline.window)}</p></header>
{sections}
<footer>{_text(outline.made_by)}</footer>
</main>
{drawn}</body>
</html>
"""


@cache
def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _section(section: Section, figures: Mapping[str, Figure]) -> str:
    parts = [f'<section id="{escape(section.name)}"><h2>{escape(section.heading)}</h2>']
    if section.advice:
        parts.append("<ul>")
        parts += [
            f'<li class="{escape(each.severity)}"><span class="pill">{escape(each.label)}</span>'
            f"<b>{_text(each.found)}</b>{_text(each.remedy)}</li>"
            for each in section.advice
        ]
        parts.append("</ul>")
    parts += [_picture(figures[name]) for name in _PICTURES.get(section.name, ()) if name in figures]
    if section.table is not None:
        parts.append(_table(section.table))
    parts += [f"<p>{_text(line)}</p>" for line in section.lines]
    return "\n".join([*parts, "</section>"])


def _picture(figure: Figure) -> str:
    title = escape(str(figure["layout"]["title"]["text"]))
    # A "<" inside a script could end it.
    data = json.dumps(figure, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'<div role="img" aria-label="{title}"></div>\n<script type="application/json" data-figure>{data}</script>'


def _table(table: Table) -> str:
    head = "".join(f"<th>{_text(cell)}</th>" for cell in table.head)
    rows = "\n".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>'


def _text(text: str) -> str:
    return "".join(f"<code>{escape(piece)}</code>" if is_code else escape(piece) for is_code, piece in pieces(text))
