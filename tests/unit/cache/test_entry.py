from __future__ import annotations

import numpy as np
import pytest

from longtake.cache.entry import Entry, entry_from_bytes, entry_to_bytes
from longtake.core.records import Mark

KEY, OTHER = "a" * 64, "b" * 64
ENTRY = Entry(
    np.array([0, 1, -1, 32767, -32768], np.int16),
    (Mark(0.0, 0.1 + 0.2, "Grüße, \ud83d", 1), Mark(0.1 + 0.2, 1 / 3, "世界。", 2)),
)
DATA = entry_to_bytes(KEY, ENTRY)


def test_it_comes_back_to_the_last_digit() -> None:
    again = entry_from_bytes(KEY, DATA)
    assert again is not None
    assert again.pcm_T.dtype == np.int16
    assert again.pcm_T.tolist() == ENTRY.pcm_T.tolist()
    assert again.marks == ENTRY.marks


def test_a_passage_without_a_sound_and_without_marks() -> None:
    again = entry_from_bytes(KEY, entry_to_bytes(KEY, Entry(np.empty(0, np.int16), ())))
    assert again is not None
    assert (again.pcm_T.dtype, again.pcm_T.size, again.marks) == (np.int16, 0, ())


def test_samples_lie_at_the_start_as_in_a_stretch() -> None:
    assert np.frombuffer(DATA, "<i2", count=5).tolist() == ENTRY.pcm_T.tolist()


def test_a_flipped_bit_anywhere_is_found() -> None:
    for place in range(len(DATA)):
        damaged = bytearray(DATA)
        damaged[place] ^= 0x10
        assert entry_from_bytes(KEY, bytes(damaged)) is None, place


@pytest.mark.parametrize(
    "data",
    [DATA[:size] for size in range(0, len(DATA), 7)] + [DATA + b"\0", bytes(len(DATA)), DATA[2:], DATA * 2],
    ids=len,
)
def test_a_torn_file_is_no_entry(data: bytes) -> None:
    assert entry_from_bytes(KEY, data) is None


def test_a_file_under_another_name_is_no_entry() -> None:
    assert entry_from_bytes(OTHER, DATA) is None


def test_what_has_a_right_digest_and_another_form_is_no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a longtake that wrote them otherwise."""
    monkeypatch.setattr("longtake.cache.entry._MAGIC", b"LTSPOKE2")
    assert entry_from_bytes(KEY, DATA) is None
