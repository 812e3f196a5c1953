"""What a phrase of the page is. The phrases themselves stand in `text` and `tab_text`."""

from __future__ import annotations

from typing import Final, NamedTuple

LANGUAGES: Final = ("en", "zh")


class Phrase(NamedTuple):
    """One thing to say, in each language; `{names}` are filled in by `text.say`, or by a script of the page."""

    en: str
    zh: str
