"""Characters that cannot be spoken, and white space. Knows nothing of scripts."""

from __future__ import annotations

import re

_BREAK = re.compile("\r\n|[\r\x85\u2028\u2029]")

# Zero-width (non-)joiners are spelling in Persian and the Indic scripts and hold emoji together: they go only where a
# neighbour is ASCII or missing. Lone surrogates come from JSON escapes and cannot be encoded by anybody after us.
_UNSPEAKABLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
    "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)
_UNSHOWABLE = re.compile(f"{_UNSPEAKABLE.pattern}|[\x09-\x0d\u2028\u2029]")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


def normalize_breaks(text: str) -> str:
    """Make every kind of line break a ``\\n``."""
    return _BREAK.sub("\n", text)


def strip_unspeakable(text: str) -> tuple[str, tuple[int, ...]]:
    """Take out control, zero-width and direction characters; tab and line feed stay.

    Returns:
        The text, and the offsets of what was taken out.
    """
    if text.isprintable():  # nearly every line; what is taken out is never printable in Unicode's sense
        return text, ()
    offsets = tuple(match.start() for match in _UNSPEAKABLE.finditer(text))
    return (_UNSPEAKABLE.sub("", text), offsets) if offsets else (text, ())


def escape_unshowable(text: str) -> str:
    """Write what cannot be shown or encoded as an escape, so that the text can go into any message."""
    return text if text.isprintable() else _UNSHOWABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def collapse_spaces(text: str) -> str:
    """White space of every kind and length becomes one space; none is left at the ends."""
    return " ".join(text.split())


def is_speakable(text: str) -> bool:
    """Whether there is a letter or digit in it: punctuation alone makes an engine say nothing, or nonsense."""
    return _LETTER_OR_DIGIT.search(text) is not None
