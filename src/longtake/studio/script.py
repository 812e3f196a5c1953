"""The scripts that come with the page, and what they are told: data as JSON, words in both languages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from longtake.studio.phrase import Phrase


def script(name: str, config: Mapping[str, Any], words: Mapping[str, Phrase]) -> str:
    """A script of the folder `scripts`, behind `const config` and `const words` (language → key → phrase)."""
    told = {language: {key: getattr(phrase, language) for key, phrase in words.items()} for language in Phrase._fields}
    return f"const config = {json.dumps(config)}, words = {json.dumps(told)};\n{_read('words.js')}\n{_read(name)}"


@cache
def _read(name: str) -> str:
    return resources.files(__package__).joinpath("scripts", name).read_text(encoding="utf-8")
