"""Every word of docs/glossary.md lives where the page says."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

from tests.docs.markdown import ROOT, read, spans, table

ROWS = {word: home for word, _, home in table(read("glossary.md"), "word")}
HOMES = {word: spans(home)[0] for word, home in ROWS.items() if spans(home)}


def test_one_row_a_word() -> None:
    words = [row[0] for row in table(read("glossary.md"), "word")]

    assert len(words) == len(set(words))


@pytest.mark.parametrize(("word", "home"), HOMES.items(), ids=list(HOMES))
def test_word_lives_where_the_glossary_says(word: str, home: str) -> None:
    thing = pkgutil.resolve_name(f"longtake.{home}")

    assert thing is not None
    # The same word, whatever the spelling: `data folder` is DataFolder, `lease` is LEASE_S.
    letters = re.sub(r"\W", "", word)
    assert letters in re.sub(r"[_\W]", "", home).lower()


@pytest.mark.parametrize(("word", "home"), [(word, home) for word, home in ROWS.items() if word not in HOMES])
def test_word_without_a_home_waits_for_its_engine(word: str, home: str) -> None:
    found = re.fullmatch(r"with (\w+)", home)

    assert found is not None, f"“{word}” names no place in the code"
    about = ROOT / "src/longtake/engines" / found[1].lower() / "about.py"  # an engine that is there has it
    assert not about.exists(), f"“{word}” has a home by now: name it"


def test_words_of_the_shared_records_are_explained() -> None:
    records = importlib.import_module("longtake.core.records")
    names = {name for name, each in vars(records).items() if getattr(each, "__module__", "") == records.__name__}
    composed = {"EngineInfo", "PassageShape"}  # made of two words that are there

    assert {name.lower() for name in names - composed} <= set(ROWS)
