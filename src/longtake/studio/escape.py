"""Text of users and servers, made harmless for HTML."""

from __future__ import annotations

from html import escape

# gr.HTML runs what it shows through a JavaScript template and then through Handlebars, so their signs are text, too.
_TEMPLATE_SIGNS = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;", "\\": "&#92;"})


def safe(text: object) -> str:
    """The text as it reads, in the content of an element or in a quoted attribute."""
    return escape(str(text), quote=True).translate(_TEMPLATE_SIGNS)
