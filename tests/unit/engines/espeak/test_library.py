from __future__ import annotations

import _ctypes
import ctypes
import time
from collections.abc import Iterator
from pathlib import Path

import espeakng_loader
import numpy as np
import psutil
import pytest

from longtake.core.errors import EngineError, InvariantError
from longtake.engines.espeak.library import LIBRARY_RATE_HZ, Library, Spoken
from longtake.engines.espeak.voices import catalogue


@pytest.fixture
def library() -> Iterator[Library]:
    library = Library()
    yield library
    library.close()


def say(library: Library, text: str, voice: str = "gmw/en-US", rate: int = 175) -> Spoken:
    library.reload()
    library.set_voice(voice)
    library.set_manner(words_per_minute=rate)
    return library.say(text)


def test_the_same_text_gives_the_same_samples_whatever_was_spoken_before(library: Library) -> None:
    voices = ("gmw/en-US", "gmw/en-US+f2", "gmw/en-US+whisper", "gmw/en-US+klatt4", "sit/cmn+quincy")
    first = [say(library, "Is it the same, 42 times over?", voice) for voice in voices]
    for before in ("Hello.", "A much longer sentence, spoken at another pace; it leaves a trace.", "好"):
        for voice, spoken in zip(voices, first, strict=True):
            say(library, before, "gmw/en-US+croak", rate=240)
            again = say(library, "Is it the same, 42 times over?", voice)
            np.testing.assert_array_equal(again.pcm_T, spoken.pcm_T)
            assert again.words == spoken.words


def test_the_clock_and_the_random_numbers_of_the_process_do_not_matter(library: Library) -> None:
    """Initialize takes its seed from the clock's second, reed draws from libc's generator."""
    voices = ("gmw/en-US+f2", "gmw/en-US+whisper", "gmw/en-US+Reed", "gmw/en-US+caleb")
    first = [say(library, "Is it the same?", voice).pcm_T for voice in voices]
    libc = ctypes.CDLL(None)
    libc.srand(4711)
    time.sleep(1.1)
    for voice, pcm in reversed(list(zip(voices, first, strict=True))):
        libc.rand()
        np.testing.assert_array_equal(say(library, "Is it the same?", voice).pcm_T, pcm)


def test_without_a_reload_it_would_not(library: Library) -> None:
    """The reason for `reload`. If this fails, espeak-ng has been mended and reloading may go."""
    first = say(library, "Is it the same?").pcm_T
    library.say("Something else.")
    assert not np.array_equal(library.say("Is it the same?").pcm_T, first)


def test_two_thousand_reloads_hold_no_memory(library: Library) -> None:
    say(library, "Hello.")
    before = psutil.Process().memory_info().rss
    for _ in range(2000):
        library.reload()
    assert psutil.Process().memory_info().rss - before < 4 * 2**20
    assert say(library, "Hello.").pcm_T.size > 0


def test_there_is_one_library_a_process(library: Library) -> None:
    with pytest.raises(InvariantError, match="already loaded"):
        Library()
    library.close()
    library.close()
    other = Library()
    assert say(other, "Hello.").pcm_T.size > 0
    other.close()
    with pytest.raises(InvariantError, match="after close"):
        library.say("Hello.")


def test_a_library_that_someone_else_holds_is_refused(library: Library) -> None:
    held = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        with pytest.raises(EngineError, match="stayed loaded"):
            library.reload()
        library.close()
        with pytest.raises(EngineError, match="held by another part"):
            Library()
    finally:
        _ctypes.dlclose(held._handle)


def test_a_data_folder_deep_down_is_reached_by_a_short_cut(library: Library, tmp_path: Path) -> None:
    expected = say(library, "Hello.").pcm_T
    library.close()
    deep = tmp_path / ("deep" * 40)
    deep.symlink_to(espeakng_loader.get_data_path(), target_is_directory=True)
    other = Library(data_path=deep)
    np.testing.assert_array_equal(say(other, "Hello.").pcm_T, expected)
    short_cut = Path(other._data)
    assert short_cut.is_symlink()
    other.close()
    assert not short_cut.parent.exists()


def test_a_missing_data_folder_is_named(library: Library, tmp_path: Path) -> None:
    library.close()
    with pytest.raises(EngineError, match="nowhere"):
        Library(data_path=tmp_path / "nowhere")
    again = Library()
    assert say(again, "Hello.").pcm_T.size > 0
    again.close()


def test_it_speaks_no_markup(library: Library) -> None:
    """Markup is read out, never obeyed: each text sounds longer than its content."""
    plain = say(library, "hello").pcm_T.size
    for text in ("<voice name='de'>hello</voice>", "[[h@loU]] hello", "hello &amp;", "<break time='9s'/>hello"):
        spoken = say(library, text)
        assert spoken.pcm_T.size > plain * 1.3, text
        assert spoken.pcm_T.size < LIBRARY_RATE_HZ * 6, text
    amp = say(library, "a &amp; b").pcm_T
    assert not np.array_equal(amp, say(library, "a & b").pcm_T)


def test_control_characters_are_no_commands(library: Library) -> None:
    """Ctrl-A is espeak-ng's embedded command: "\\x0180S" would set the rate."""
    np.testing.assert_array_equal(say(library, "one \x0180S two").pcm_T, say(library, "one  80S two").pcm_T)
    np.testing.assert_array_equal(say(library, "one\0two").pcm_T, say(library, "one two").pcm_T)


def test_words_lie_where_the_text_has_them(library: Library) -> None:
    text = "Hello — naïve 漢 world, again."
    words = say(library, text).words
    for expected in ("Hello", "naïve", "world", "again"):
        assert text.index(expected) in {word.character for word in words}
    samples = [word.sample for word in words]
    assert samples == sorted(samples)
    assert samples[-1] < say(library, text).pcm_T.size


def test_every_language_and_every_variant_can_be_set_and_speaks(library: Library) -> None:
    known = catalogue()
    voices = [known.find(tag) for tag in known.languages]
    voices += [known.find(f"{tag}+{variant}") for tag in ("en-us", "cmn") for variant in known.variants if variant]
    assert len(voices) > 300
    for voice in voices:
        assert voice is not None
        spoken = say(library, "a e i o u 1 2 3", voice.identifier)
        assert spoken.pcm_T.size > LIBRARY_RATE_HZ // 2, voice.id
        assert np.abs(spoken.pcm_T.astype(int)).max() > 500, voice.id


def test_a_voice_that_is_not_there_is_an_error(library: Library) -> None:
    with pytest.raises(EngineError, match="nonsense"):
        library.set_voice("nonsense")


def test_a_text_of_any_length_is_spoken_and_an_empty_one_is_silent(library: Library) -> None:
    short = say(library, "and so on, ").pcm_T.size
    assert say(library, "and so on, " * 200).pcm_T.size > short * 150
    assert say(library, "x" * 3000).pcm_T.size > 0
    assert np.abs(say(library, "").pcm_T).sum() == 0
