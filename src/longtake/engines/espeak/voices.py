"""The voices of espeak-ng, read from its data folder. Knows their ids and files; does not load the library.

A voice is a language with a variant: ``en-us`` is the plain voice, ``en-us+f2`` the same language spoken by variant f2.
Ids are looked up in tables made from the folder's listing, so an id from a request never becomes part of a path.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader

from longtake.core.records import Voice

ENGINE_NAME = "espeak"

# The plain voice and seven variants, man and woman by turns, chosen so that pitch or brightness differ clearly. Median
# pitch and spectral centroid of one English sentence in en-us: plain 100 Hz/764 Hz, f2 192/779, quincy 84/517,
# linda 227/1036, nguyen 147/441, steph 182/298, reed 115/382, alicia 248/1235. None clips, none is a robot or whispers.
_MEN = ("", "quincy", "nguyen", "reed", "m3", "rob", "m7", "mike", "robert", "michael", "alex", "m1", "mario", "adam")
_WOMEN = (
    "f2",
    "linda",
    "steph",
    "alicia",
    "f5",
    "aunty",
    "annie",
    "f1",
    "belinda",
    "f3",
    "grandma",
    "f4",
    "shelby",
    "anika",
)
_CURATED = 8  # how many variants of a main language `Catalogue.listed` shows

# Kept for those who ask by id, last in line for everyone else: whispers, robots, jokes.
_ODD = re.compile(r"whisper|robo|robot|klatt|demonic|announcer|croak|caleb|zac|storm|tweaky|iven|kaukovalta|ricishay")
_SAME_AS_PLAIN = frozenset({"fast"})  # gives the same samples as the plain voice

_MAIN_LANGUAGES = (
    "en-us", "en-gb", "cmn", "yue", "ja", "ko", "de", "fr", "es", "es-419",
    "it", "pt-br", "pt", "ru", "hi", "ar", "nl", "pl",
)  # fmt: skip

# What people and the script's own language detection call a language, where the folder's file has another name.
_ALIASES = {
    "en": "en-us",
    "zh": "cmn",
    "zh-hk": "yue",
    "zh-mo": "yue",
    "zh-yue": "yue",
    "no": "nb",
    "es-mx": "es-419",
    "hy-arevela": "hy",
}
_BCP47 = {"cmn": "zh", "cmn-Latn-pinyin": "zh-Latn-pinyin", "en": "en-GB"}


@dataclass(frozen=True, slots=True)
class Language:
    """A language of espeak-ng. `tag` is ours, `file` its path below ``lang``, `bcp47` for people and clients."""

    tag: str
    name: str
    bcp47: str
    file: str

    @property
    def primary(self) -> str:
        """The language without region or script: ``en`` of ``en-us``."""
        return self.tag.partition("-")[0]


@dataclass(frozen=True, slots=True)
class EspeakVoice:
    """A language with a variant: `variant` is its tag, `variant_file` its file; both are empty for the plain voice."""

    language: Language
    variant: str
    variant_file: str

    @property
    def id(self) -> str:
        return f"{self.language.tag}+{self.variant}" if self.variant else self.language.tag

    @property
    def identifier(self) -> str:
        """What espeak-ng's own ``SetVoiceByName`` takes."""
        return f"{self.language.file}+{self.variant_file}" if self.variant else self.language.file

    @property
    def name(self) -> str:
        if not self.variant:
            return self.language.name
        for kind, variants in (("man", _MEN), ("woman", _WOMEN)):
            if self.variant in variants:
                return f"{self.language.name}, {kind} {variants.index(self.variant) + 1}"
        return f"{self.language.name}, variant {self.variant}"

    def to_voice(self) -> Voice:
        return Voice(id=self.id, name=self.name, language=self.language.bcp47, engine=ENGINE_NAME)


class Catalogue:
    """All voices of one data folder.

    Args:
        data_path: espeak-ng's data folder; it is listed once, here.
    """

    def __init__(self, data_path: Path) -> None:
        self._languages = {language.tag: language for language in _read_languages(data_path)}
        variants = {_tag(path.name): path.name for path in (data_path / "voices" / "!v").iterdir()}
        self._variants = {"": "", **dict(sorted(variants.items()))}

    @property
    def languages(self) -> Mapping[str, Language]:
        return self._languages

    @property
    def variants(self) -> tuple[str, ...]:
        """Tags of all variants, those to prefer first, man and woman by turns; the plain voice is ``""``."""
        best = [variant for pair in zip(_MEN, _WOMEN, strict=True) for variant in pair if variant in self._variants]
        rest = [variant for variant in self._variants if variant not in best and variant not in _SAME_AS_PLAIN]
        return (*best, *sorted(rest, key=lambda variant: _ODD.search(variant) is not None))

    def find(self, voice_id: str) -> EspeakVoice | None:
        """The voice of that id, or None. Upper case and other names of a language (``zh``, ``en``) are understood."""
        tag, plus, variant = voice_id.lower().partition("+")
        tag = _ALIASES.get(tag, tag)
        if tag not in self._languages or variant not in self._variants or (plus and not variant):
            return None
        return EspeakVoice(self._languages[tag], variant, self._variants[variant])

    def find_for_language(self, language: str, variant: str = "") -> EspeakVoice | None:
        """The voice that speaks a BCP-47 language, or that of its primary language, or None."""
        tag = language.lower().replace("_", "-")
        suffix = f"+{variant}" if variant else ""
        return self.find(tag + suffix) or self.find(tag.partition("-")[0] + suffix)

    def listed(self) -> Iterator[EspeakVoice]:
        """The voices to offer: variants of the main languages first, then every other language once."""
        main = [tag for tag in _MAIN_LANGUAGES if tag in self._languages]
        for tag in main:
            for variant in self.variants[:_CURATED]:
                yield EspeakVoice(self._languages[tag], variant, self._variants[variant])
        for language in sorted(self._languages.values(), key=lambda language: language.name):
            if language.tag not in main:
                yield EspeakVoice(language, "", "")


@functools.cache
def catalogue() -> Catalogue:
    """The voices that come with `espeakng_loader`."""
    return Catalogue(Path(espeakng_loader.get_data_path()))


def _tag(file_name: str) -> str:
    return file_name.lower().replace(" ", "-")


def _read_languages(data_path: Path) -> Iterable[Language]:
    root = data_path / "lang"
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        # A few files hold comments in other encodings; the lines that we read do not.
        keys: dict[str, str] = {}
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition("//")[0].strip().partition(" ")
            keys.setdefault(key, value.strip())
        dictionary = keys.get("dictionary") or keys["language"].split()[0].partition("-")[0]
        if not (data_path / f"{dictionary}_dict").exists():
            continue  # listed but mute: Faroese, Karakalpak and xextan come without a dictionary in this build
        tag = "en-gb" if path.name == "en" else _tag(path.name)  # the file "en" is British English
        yield Language(tag, keys["name"], _BCP47.get(path.name, path.name), path.relative_to(root).as_posix())
