"""The language of a text by its writing. Knows no words: Latin letters are the base language, whatever they spell."""

from __future__ import annotations

import re

# Writing → (language, languages that share it, characters as a regex class). Ranges are Unicode blocks; punctuation,
# digits and white space are in none of them.
_WRITINGS: dict[str, tuple[str, frozenset[str], str]] = {
    "latin": ("en", frozenset(), "A-Za-zªºÀ-ÖØ-öø-ʯḀ-ỿＡ-Ｚａ-ｚ"),
    "han": (
        "zh",
        frozenset({"ja", "yue", "cmn", "wuu", "nan", "hak"}),
        "々〆\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    ),
    "kana": (
        "ja",
        frozenset(),
        "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9d",
    ),
    "hangul": ("ko", frozenset(), "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"),
    "thai": ("th", frozenset(), "\u0e01-\u0e3a\u0e40-\u0e4e"),
    "cyrillic": (
        "ru",
        frozenset({"uk", "be", "bg", "sr", "mk", "kk", "ky", "mn", "tg", "tt", "ba", "cv", "os"}),
        "\u0400-\u0481\u048a-\u052f",
    ),
    "arabic": (
        "ar",
        frozenset({"fa", "ur", "ps", "ug", "sd", "ku", "ckb"}),
        "\u0620-\u064a\u066e-\u06d3\u06fa-\u06ff\ufb50-\ufdcf\ufdf0-\ufdfb\ufe70-\ufefc",
    ),
    "devanagari": ("hi", frozenset({"mr", "ne", "sa", "kok"}), "\u0900-\u0963\u0971-\u097f"),
    "hebrew": ("he", frozenset({"yi"}), "\u05d0-\u05ea"),
    "greek": ("el", frozenset({"grc"}), "\u0370-\u037d\u037f\u0386\u0388-\u03ff\u1f00-\u1fff"),
    "bengali": ("bn", frozenset({"as"}), "\u0980-\u09e3"),
    "gurmukhi": ("pa", frozenset(), "\u0a01-\u0a5e"),
    "gujarati": ("gu", frozenset(), "\u0a81-\u0ae3"),
    "tamil": ("ta", frozenset(), "\u0b82-\u0bd7"),
    "telugu": ("te", frozenset(), "\u0c00-\u0c63"),
    "kannada": ("kn", frozenset(), "\u0c80-\u0ce3"),
    "malayalam": ("ml", frozenset(), "\u0d00-\u0d63"),
    "sinhala": ("si", frozenset(), "\u0d81-\u0df3"),
    "lao": ("lo", frozenset(), "\u0e81-\u0ecd"),
    "myanmar": ("my", frozenset(), "\u1000-\u103f"),
    "georgian": ("ka", frozenset(), "\u10a0-\u10ff"),
    "ethiopic": ("am", frozenset({"ti"}), "\u1200-\u135a"),
    "khmer": ("km", frozenset(), "\u1780-\u17d3"),
    "armenian": ("hy", frozenset(), "\u0531-\u0556\u0561-\u0587"),
}
# The look-ahead lets punctuation and spaces fail one test instead of one for each writing.
_LETTERS = re.compile(
    r"(?=[^\W\d_])(?:" + "|".join(f"(?P<{writing}>[{chars}]+)" for writing, (_, _, chars) in _WRITINGS.items()) + ")"
)
# Serbian and Kurdish are written in Latin letters, too.
_NOT_LATIN = frozenset(
    language
    for writing, (first, others, _) in _WRITINGS.items()
    if writing != "latin"
    for language in (first, *others)
    if language not in ("sr", "ku")
)

# Writings in which one character is about one spoken syllable; elsewhere about five letters make a word.
_DENSE = frozenset({"han", "kana", "hangul"})
_LETTERS_PER_UNIT = 5
# A Japanese text has kana nearly everywhere; a Chinese one may quote a の here and there.
_KANA_SHARE = 0.05


def primary(language: str) -> str:
    """``zh-TW`` → ``zh``."""
    return language.replace("_", "-").partition("-")[0].lower()


def language_of(text: str, default_language: str = "en", base: str | None = None) -> str:
    """Language of most of the text.

    Args:
        default_language: Of Latin letters, and of a text without letters when there is no `base`.
        base: Language of the document around it: Han characters inside a Japanese document are Japanese.
    """
    if text.isascii():
        if base is None or any(map(str.isalpha, text)):
            return _language_of_writing("latin", base or default_language, default_language)
        return base
    weights: dict[str, int] = {}
    for match in _LETTERS.finditer(text):
        writing = match.lastgroup or ""
        length = match.end() - match.start()
        weights[writing] = weights.get(writing, 0) + (length * _LETTERS_PER_UNIT if writing in _DENSE else length)
    if not weights:
        return base or default_language
    han, kana = weights.pop("han", 0), weights.pop("kana", 0)
    if kana and kana >= (han + kana) * _KANA_SHARE:
        weights["kana"] = han + kana
    elif han:
        weights["han"] = han + kana
    writing = max(weights, key=lambda each: weights[each])
    return _language_of_writing(writing, base or default_language, default_language)


def language_runs(text: str, base: str) -> list[tuple[str, str]]:
    """Cut a text into runs of one language; joined, they are the text.

    Digits, punctuation and white space stay with the run before them, at the start with the run after them. A text
    without letters is one run of `base`; an empty text has no runs.

    Args:
        base: Language of the text around; it is also the language of every writing that it may be written in
            (``fr`` for Latin letters, ``uk`` for Cyrillic, ``ja`` for Han).

    Returns:
        Pairs of language and text.
    """
    if not text:
        return []
    if text.isascii():
        latin = _language_of_writing("latin", base, "en")
        return [(latin if any(map(str.isalpha, text)) else base, text)]
    matches = list(_LETTERS.finditer(text))
    han_language = "ja" if language_of(text, base=base) == "ja" else _language_of_writing("han", base, "en")
    runs: list[tuple[str, str]] = []
    start, current = 0, ""
    for match in matches:
        writing = match.lastgroup or ""
        language = han_language if writing == "han" else _language_of_writing(writing, base, "en")
        if current and language != current:
            runs.append((current, text[start : match.start()]))
            start = match.start()
        current = language
    runs.append((current or base, text[start:]))
    return runs


def _language_of_writing(writing: str, base: str, default_language: str) -> str:
    first, others, _ = _WRITINGS[writing]
    subtag = primary(base)
    if writing == "latin":
        return next((each for each in (base, default_language) if primary(each) not in _NOT_LATIN), first)
    return base if subtag == first or subtag in others else first
