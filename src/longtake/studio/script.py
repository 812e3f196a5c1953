"""The scripts that come with the page, and what they are told: data as JSON, words in both languages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from longtake.studio.phrase import LANGUAGES, Phrase


def script(*names: str, config: Mapping[str, Any] | None = None, words: Mapping[str, Phrase] | None = None) -> str:
    """Scripts of the folder `scripts` as one, behind `const config` and `const words` (language → key → phrase)."""
    told = {
        language: {key: getattr(phrase, language) for key, phrase in (words or {}).items()} for language in LANGUAGES
    }
    told_first = f"const config = {json.dumps(config or {})}, words = {json.dumps(told)};"
    return "\n".join([told_first, *map(_read, ("words.js", *names))])


@cache
def _read(name: str) -> str:
    return resources.files(__package__).joinpath("scripts", name).read_text(encoding="utf-8")
