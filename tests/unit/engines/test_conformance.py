"""What every engine keeps. An engine joins by its name in the fixture `bench`; nothing here knows which one it is."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from longtake.core.errors import InputError
from longtake.core.records import PassageShape
from longtake.engines.base import End, StepResult

TEXTS = ("Good morning, everyone.", "The second one is rather longer, and says: twenty-one!", "Why?", "It ends here.")


def test_alone_in_a_batch_and_again_gives_the_same_samples(bench: Any) -> None:
    alone = {text: bench.say(text, speaker=1 + place % 2, seed=place) for place, text in enumerate(TEXTS)}
    batch = bench.speak(
        *(bench.request(text, text, speaker=1 + place % 2, seed=place) for place, text in enumerate(TEXTS))
    )
    again = bench.say(TEXTS[0], speaker=1, seed=0)
    for text in TEXTS:
        bench.assert_same(alone[text].pcm, batch[text].pcm)
        assert alone[text].marks == batch[text].marks
    bench.assert_same(alone[TEXTS[0]].pcm, again.pcm)


def test_slot_reuse_leaves_no_trace(bench: Any) -> None:
    fresh = bench.say(TEXTS[1])
    more = {"speed": 1.4} if bench.engine.info.changes_speed else {}
    bench.say("Something else altogether, by someone else.", speaker=2, seed=99, **more)
    bench.assert_same(bench.say(TEXTS[1]).pcm, fresh.pcm)


def test_one_that_joins_late_changes_nobody(bench: Any) -> None:
    alone = bench.say(TEXTS[0])
    bench.engine.start(bench.request("stopped", TEXTS[2], speaker=2))
    bench.engine.start(bench.request("failed-later", TEXTS[3], speaker=2))
    bench.engine.stop("stopped")
    bench.engine.stop("failed-later")
    bench.assert_same(bench.say(TEXTS[0]).pcm, alone.pcm)


def test_speakers_are_told_apart(bench: Any) -> None:
    first, second = bench.say(TEXTS[0], speaker=1), bench.say(TEXTS[0], speaker=2)
    assert not np.array_equal(first.pcm, second.pcm)


def test_a_request_ends_once_and_is_forgotten(bench: Any) -> None:
    heard = bench.say(TEXTS[0])
    assert heard.ends == [End.FINISHED]
    assert bench.engine.step() == StepResult()
    bench.say(TEXTS[0])  # the same id may come again


def test_samples_are_mono_16_bit_and_not_silent(bench: Any) -> None:
    pcm = bench.say(TEXTS[1]).pcm
    assert pcm.dtype == np.int16
    assert pcm.ndim == 1
    assert np.abs(pcm.astype(int)).max() > 1000
    assert 1.0 < pcm.size / 24_000 < 10.0


def test_abort_frees_everything(bench: Any) -> None:
    for place, text in enumerate(TEXTS):
        bench.engine.start(bench.request(str(place), text))
    for place in range(len(TEXTS)):
        bench.engine.stop(str(place))
    bench.engine.stop("never started")
    assert bench.engine.step() == StepResult()
    bench.speak(*(bench.request(str(place), text) for place, text in enumerate(TEXTS)))


def test_marks_concatenate_and_lie_within_the_passage(bench: Any) -> None:
    for text in TEXTS:
        heard = bench.say(text)
        marks = heard.marks
        if bench.engine.info.shape is PassageShape.DIALOGUE:
            assert marks == (), "nobody knows when a word of a dialogue is heard: subtitles are estimated"
            continue
        assert "".join(mark.text for mark in marks) == text
        assert marks[0].start_s == 0.0
        assert all(mark.start_s <= mark.end_s and mark.speaker == 1 for mark in marks)
        assert all(one.end_s == after.start_s for one, after in pairwise(marks))
        assert marks[-1].end_s <= heard.seconds


@pytest.mark.parametrize("voices", [{1: "no such voice"}, {1: "../../etc/passwd"}, {1: ""}, {2: "en-us"}, {}])
def test_an_unknown_voice_is_refused_and_the_engine_goes_on(bench: Any, voices: dict[int, str]) -> None:
    before = bench.say(TEXTS[0])
    with pytest.raises(InputError) as caught:
        bench.engine.start(bench.request("bad", TEXTS[0], voices=voices))
    assert caught.value.code == "unknown_voice"
    assert bench.engine.step() == StepResult()
    bench.assert_same(bench.say(TEXTS[0]).pcm, before.pcm)


def test_an_unknown_setting_is_refused_by_about_and_by_the_engine(bench: Any) -> None:
    with pytest.raises(InputError, match="sparkle"):
        bench.about.check_settings({"sparkle": 1})
    with pytest.raises(InputError, match="sparkle"):
        bench.engine.start(bench.request("bad", TEXTS[0], settings={"sparkle": 1}))
    assert bench.engine.step() == StepResult()


def test_cost_is_known_without_a_start(bench: Any) -> None:
    cost = bench.engine.cost(bench.request("r", TEXTS[1]))
    assert cost.used_bytes > 0
    assert cost.steps > 0
    assert bench.engine.step() == StepResult()


def test_resumed_equals_uninterrupted(bench: Any) -> None:
    request = bench.request("r", TEXTS[1])
    whole = bench.speak(request)["r"].pcm
    bench.engine.start(request)
    spoken: list[Any] = []
    if bench.engine.info.keeps_traces:
        spoken = [chunk.pcm_T for _ in range(7) for chunk in bench.engine.step().chunks]
    trace = bench.engine.trace("r")
    assert bool(trace) == bench.engine.info.keeps_traces
    bench.engine.stop("r")
    rest = bench.speak(replace(request, trace=trace))["r"].pcm
    resumed = np.concatenate([*spoken, rest]).astype(np.int32)
    assert resumed.shape == whole.shape
    assert np.abs(resumed - whole).max() <= bench.resume_tolerance


def test_what_may_be_cached_depends_on_nothing_that_is_not_in_the_key(bench: Any) -> None:
    info = bench.about.info
    if not info.caches_passages:
        return
    assert not info.keeps_traces, "half a passage has no place in the cache"
    assert not info.past_passages
    request = bench.request("r", TEXTS[1], seed=3)
    seed = request.seed if info.uses_seed else 99
    moved = replace(request.passage, index=17, silence_before_s=2.0)
    other = replace(request, id="another/2/17", passage=moved, expected_s=99.0, seed=seed)
    assert bench.engine.revision(request) == bench.engine.revision(other) != ""
    here, there = bench.speak(request)["r"], bench.speak(other)[other.id]
    assert np.array_equal(here.pcm, there.pcm)
    assert here.marks == there.marks


def test_about_and_engine_agree(bench: Any) -> None:
    assert bench.engine.info == bench.about.info
    assert "*" in bench.about.info.paces
    listed = bench.about.voices()
    assert len({voice.id for voice in listed}) == len(listed)
    assert all(bench.about.find_voice(voice.id) == voice for voice in listed)
    assert bench.about.find_voice("no such voice") is None


def test_default_voices_are_distinct_and_known(bench: Any) -> None:
    if bench.about.info.speaks_recordings:
        assert bench.about.voices() == ()
        return
    voices = bench.about.default_voices({1: "en", 2: "en", 3: "zh", 4: "en", 7: "xx"})
    assert list(voices) == [1, 2, 3, 4, 7]
    assert len(set(voices.values())) == 5
    assert all(bench.about.find_voice(voice) is not None for voice in voices.values())


def test_counts_never_fall(bench: Any) -> None:
    before = bench.engine.stats()
    bench.say(TEXTS[0])
    after = bench.engine.stats()
    for name in ("frames", "tokens", "read_tokens"):
        then, now = getattr(before, name), getattr(after, name)
        assert (then is None) == (now is None)
        assert then is None or then <= now
    assert set(before.parts_s) <= set(after.parts_s)
    assert all(after.parts_s[part] >= seconds for part, seconds in before.parts_s.items())
