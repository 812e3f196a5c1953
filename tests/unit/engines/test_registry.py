from __future__ import annotations

import subprocess
import sys

import pytest

from longtake.core.errors import NotFoundError
from longtake.engines.registry import ENGINES, about, engine_names


def test_every_engine_goes_by_the_name_it_is_listed_under() -> None:
    assert engine_names() == tuple(ENGINES)
    for name in engine_names():
        assert about(name).info.name == name
        assert about(name) is about(name)


def test_an_unknown_engine_names_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match="Known engines: espeak") as caught:
        about("os:system")
    assert caught.value.code == "unknown_engine"


def test_about_loads_neither_the_library_nor_torch() -> None:
    code = (
        "import sys\n"
        "from longtake.engines.registry import about, engine_names\n"
        "assert not any('espeak' in name for name in sys.modules), 'imported before it was asked for'\n"
        "for name in engine_names():\n"
        "    known = about(name); known.voices(); known.default_voices({1: 'en'}); known.check_settings({})\n"
        "bad = {'torch', 'av', 'longtake.engines.espeak.library'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
