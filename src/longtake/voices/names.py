"""Names of people to ids of voices. An id names a file: few characters are in it, and it is checked before any path."""

from __future__ import annotations

import re
import unicodedata

from longtake.core.errors import InputError

UNKNOWN_LANGUAGE = "und"
"""BCP-47 for a language that nobody has named."""

MAX_NAME_CHARACTERS = 100
_MAX_ID_CHARACTERS = 64
_MAX_STEM_CHARACTERS = 48  # leaves room for a number
# Digits and lower-case ASCII letters, kana, Han, Hangul; all in one normal form (NFKC).
_LETTER = "0-9a-z\u3041-\u3096\u30a1-\u30fa\u30fc\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
_ID = re.compile(f"[{_LETTER}][{_LETTER}-]{{0,{_MAX_ID_CHARACTERS - 1}}}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")


def is_voice_id(text: str) -> bool:
    """Whether it looks like an id of ours: then it is safe as the stem of a file's name."""
    return _ID.fullmatch(text) is not None


def to_voice_id(name: str) -> str:
    """``Zoë (studio)`` → ``zoe-studio``, ``博文`` → ``博文``; empty when no character of it can stand in an id."""
    text = unicodedata.normalize("NFKC", name).lower()
    found = "".join(map(_to_id_character, text))
    return re.sub("-+", "-", found)[:_MAX_STEM_CHARACTERS].strip("-")


def _to_id_character(character: str) -> str:
    if re.match(f"[{_LETTER}]", character):
        return character
    base = unicodedata.normalize("NFD", character)[0]
    if re.match("[a-z]", base):
        return base
    return "" if unicodedata.combining(base) or base in "'’" else "-"


def check_name(name: str) -> str:
    """The name as it is kept.

    Raises:
        InputError: It is empty, too long, or has characters that cannot be printed.
    """
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise InputError(
            f"The name of a voice is {name[:MAX_NAME_CHARACTERS]!a}; it needs 1 to {MAX_NAME_CHARACTERS} characters, "
            "all of them printable.",
            code="invalid_name",
            param="name",
        )
    return name


def check_language(language: str) -> None:
    """
    Raises:
        InputError: It is no tag of BCP-47.
    """
    if not _LANGUAGE.fullmatch(language):
        raise InputError(
            f"The language {language[:40]!a} is no tag such as en, zh or pt-BR. Give one, or leave it out.",
            code="invalid_language",
            param="language",
        )
