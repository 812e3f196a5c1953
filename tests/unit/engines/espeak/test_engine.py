from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longtake.core.errors import EngineError, InputError, InvariantError
from longtake.core.records import Line, Passage
from longtake.engines.base import SpeakRequest
from longtake.engines.espeak.library import Library
from longtake.engines.espeak.voices import catalogue

ODD = st.one_of(
    st.characters(exclude_categories=["Cs", "Cc"]),
    st.sampled_from(" .,!?…—“”\"'’()<>&[]{}@#%$€0123456789"),
    st.sampled_from("abcÄßé好今天气，。！？日本のアイ한국어ไทยשלוםمرحباЖдा😀👍🏽🇩🇪\u200d\u202e\u0301"),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(ODD, min_size=1, max_size=60),
    voice=st.sampled_from(["en-us", "cmn+f2", "yue", "ja", "ar", "de"]),
    language=st.sampled_from(["en", "zh", "ja", "ar"]),
    speed=st.sampled_from([0.25, 1.0, 3.5]),
)
def test_any_text_is_spoken_and_marked(espeak: Any, text: str, voice: str, language: str, speed: float) -> None:
    request = espeak.request("r", text, language=language, voices={1: voice}, speed=speed)
    heard = espeak.speak(request)["r"]
    assert "".join(mark.text for mark in heard.marks) == text
    assert heard.marks[0].start_s == 0.0
    assert all(mark.start_s <= mark.end_s for mark in heard.marks)
    assert all(one.end_s == after.start_s for one, after in pairwise(heard.marks))
    assert heard.marks[-1].end_s <= heard.seconds
    assert heard.pcm.nbytes * 2 <= espeak.engine.cost(request).used_bytes


def test_marks_lie_where_the_words_are(espeak: Any) -> None:
    heard = espeak.say("Hello world, this is 1,234 dollars. Dr. Smith isn't here!")
    words = [mark.text.strip() for mark in heard.marks]
    assert words == ["Hello", "world,", "this", "is", "1,234", "dollars.", "Dr.", "Smith", "isn't", "here!"]
    only = espeak.say("Hello world,")
    assert heard.marks[1].start_s == pytest.approx(only.marks[1].start_s, abs=0.05)
    number = heard.marks[4]
    assert number.end_s - number.start_s > 1.5  # one thousand two hundred and thirty four
    assert heard.marks[-1].end_s == pytest.approx(heard.seconds, abs=0.05)


@pytest.mark.parametrize("text", ["…", "—", "。", " ", "\u200b", "\u2e3b\u2e3b"])
def test_a_text_with_nothing_to_say_is_a_short_silence(espeak: Any, text: str) -> None:
    heard = espeak.say(text)
    assert heard.pcm.size == 4800
    assert not heard.pcm.any()
    assert [(mark.start_s, mark.end_s, mark.text) for mark in heard.marks] == [(0.0, 0.2, text)]


def test_a_passage_over_the_cap_is_still_spoken(espeak: Any) -> None:
    text = "This goes on and on. " * 60
    assert len(text) > 3 * espeak.engine.info.max_passage_characters
    assert 50 < espeak.say(text).seconds < 150


@pytest.mark.parametrize("speed", [0.25, 0.35, 0.5, 0.75, 1.5, 2.0, 3.0, 4.0])
def test_speed_scales_the_duration(espeak: Any, speed: float) -> None:
    text = "The weather will be fine on most days, and the roads are open again."
    assert espeak.say(text).seconds / espeak.say(text, speed=speed).seconds == pytest.approx(speed, rel=0.15)


@pytest.mark.parametrize("speed", [0.25, 2.0])
def test_marks_scale_with_the_speed(espeak: Any, speed: float) -> None:
    text = "The weather will be fine on most days, and the roads are open again."
    plain, other = espeak.say(text), espeak.say(text, speed=speed)
    assert [mark.text for mark in other.marks] == [mark.text for mark in plain.marks]
    for one, scaled in zip(plain.marks, other.marks, strict=True):
        assert scaled.start_s / other.seconds == pytest.approx(one.start_s / plain.seconds, abs=0.06)


@pytest.mark.parametrize("speed", [0.0, 0.2, 4.1, -1.0, float("nan")])
def test_a_speed_out_of_range_is_refused(espeak: Any, speed: float) -> None:
    with pytest.raises(InputError, match="Speed"):
        espeak.engine.start(espeak.request("r", "Hello.", speed=speed))


def test_pitch_and_word_gap_are_heard(espeak: Any) -> None:
    plain = espeak.say("One two three four.")
    high = espeak.say("One two three four.", settings={"pitch": 90})
    gap = espeak.say("One two three four.", settings={"word_gap": 20})
    assert median_pitch_hz(high.pcm) > median_pitch_hz(plain.pcm) * 1.15
    assert gap.seconds > plain.seconds + 0.3


def test_chinese_is_spoken_in_mandarin(espeak: Any) -> None:
    """An English voice spells Han as "Chinese letter", 0.8 s for each; Mandarin takes about 0.25 s."""
    text = "今天天气很好，我们去公园吧。"
    for voice in ("cmn", "en-us"):
        heard = espeak.say(text, language="zh", voices={1: voice})
        assert 2.0 < heard.seconds < 4.5
        assert len(heard.marks) >= 6
    np.testing.assert_array_equal(
        espeak.say(text, language="zh", voices={1: "en-us+f2"}).pcm,
        espeak.say(text, language="zh", voices={1: "cmn+f2"}).pcm,
    )


def test_a_mixed_line_keeps_its_parts_in_order(espeak: Any) -> None:
    text = "In Chinese we say 你好, and in English hello."
    heard = espeak.say(text)
    start = {mark.text.strip(" ,."): mark.start_s for mark in heard.marks}
    assert start["Chinese"] < start["say"] < start["你好"] < start["and"] < start["hello"]
    assert heard.seconds < 6


def test_a_stop_where_the_voice_changes_is_heard(espeak: Any) -> None:
    plain = espeak.say("你好 Hello there.").seconds
    assert espeak.say("你好。Hello there.").seconds - plain == pytest.approx(0.2, abs=0.02)
    assert espeak.say("你好。” Hello there.").seconds - plain == pytest.approx(0.3, abs=0.05)


def test_several_lines_are_spoken_one_after_the_other(espeak: Any) -> None:
    lines = (Line(1, "First line.", "en"), Line(2, "Second line.", "en"))
    request = SpeakRequest("r", Passage(0, lines, 0.0), {1: "en-us", 2: "en-us+f2"})
    heard = espeak.speak(request)["r"]
    first, second = espeak.say("First line."), espeak.say("Second line.", speaker=2)
    assert [mark.speaker for mark in heard.marks] == [1, 1, 2, 2]
    assert "".join(mark.text for mark in heard.marks) == "First line.Second line."
    assert heard.seconds == pytest.approx(first.seconds + second.seconds, abs=0.01)
    assert heard.marks[2].start_s >= first.marks[-1].end_s


@pytest.mark.parametrize("language", ["en", "zh", "ja", "yue", "de"])
def test_the_first_four_default_voices_differ_clearly(espeak: Any, language: str) -> None:
    text = {"en": "Good morning, everyone, and welcome.", "de": "Guten Morgen zusammen, willkommen."}.get(
        language, "おはようございます、みなさん。" if language == "ja" else "大家早上好，欢迎收听我们的节目。"
    )
    voices = espeak.about.default_voices(dict.fromkeys(range(1, 5), language))
    pitches = [median_pitch_hz(espeak.say(text, language=language, voices={1: voice}).pcm) for voice in voices.values()]
    apart = [abs(np.log2(one / other)) * 12 for place, one in enumerate(pitches) for other in pitches[:place]]
    assert min(apart) > 1.5, f"semitones apart {apart} of {pitches}"
    assert max(pitches[0], pitches[2]) * 1.3 < min(pitches[1], pitches[3]), "man, woman, man, woman"


def test_a_request_that_fails_leaves_the_others_and_the_engine_well(
    espeak: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = espeak.say("All is well.")
    say = Library.say

    def break_once(self: Library, text: str) -> Any:
        if "Bad" in text:
            raise EngineError("broken")
        return say(self, text)

    monkeypatch.setattr(Library, "say", break_once)
    espeak.engine.start(espeak.request("bad", "Bad."))
    espeak.engine.start(espeak.request("good", "All is well."))
    result = espeak.engine.step()
    assert [failed.request_id for failed in result.failed] == ["bad"]
    assert [chunk.request_id for chunk in result.chunks] == ["good"]
    np.testing.assert_array_equal(result.chunks[0].pcm_T, good.pcm)
    assert espeak.engine.step().failed == ()


def test_an_id_is_active_once(espeak: Any) -> None:
    espeak.engine.start(espeak.request("r", "Hello."))
    with pytest.raises(InvariantError, match="active already"):
        espeak.engine.start(espeak.request("r", "Hello."))


def test_every_listed_voice_speaks_its_own_samples(espeak: Any) -> None:
    heard: dict[bytes, str] = {}
    for voice in catalogue().listed():
        pcm = espeak.say("a e i o u 1 2 3", language=voice.language.tag, voices={1: voice.id}).pcm
        assert np.abs(pcm.astype(int)).max() > 500, voice.id
        if voice.language.tag == "en-us":
            assert heard.setdefault(pcm.tobytes(), voice.id) == voice.id


def test_the_estimate_holds_for_conversation(espeak: Any) -> None:
    sentences = (
        "So, I went to the market yesterday, and you won't believe who I met there.",
        "Really? Who was it?",
        "It was our old teacher, the one who always told us to read more and to talk less.",
        "Oh, I remember her well; she was strict, but she was fair.",
        "She asked about you, and she wants us all to come to dinner some time next month.",
        "That sounds lovely, let me look at my calendar.",
        "Welcome back, everyone. This evening we are talking about the railways of the nineteenth century.",
        "Thanks for having me. It is a wonderful subject, and an enormously complicated one.",
        "Where should we begin? Most listeners probably think of Manchester and Liverpool.",
        "Right, and that connection opened in 1830, but the earliest companies carried coal, not passengers.",
        "So the whole infrastructure was originally an investment of the mining industry?",
        "Exactly. Passengers were an afterthought, until the directors understood how profitable they were.",
    )
    seconds = sum(espeak.say(text, speaker=1 + place % 2).seconds for place, text in enumerate(sentences))
    words = sum(len(text.split()) for text in sentences)
    assert words / espeak.engine.info.paces["en"] * 60 == pytest.approx(seconds, rel=0.1)


def median_pitch_hz(pcm: np.ndarray) -> float:
    """Median over the voiced frames, by autocorrelation; int16, 24 kHz."""
    frame, found = 1200, []
    window = np.hanning(frame)
    fade = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * frame)) ** 2)[:frame]
    for begin in range(0, pcm.size - frame, 480):
        piece = pcm[begin : begin + frame].astype(float)
        if (piece**2).mean() < 1e4:
            continue
        correlation = np.fft.irfft(np.abs(np.fft.rfft((piece - piece.mean()) * window, 2 * frame)) ** 2)[:frame]
        correlation = correlation[:420] / fade[:420] * fade[0] / correlation[0]
        lag = 53 + int(correlation[53:].argmax())  # 450 Hz down to 57 Hz
        for part in (4, 3, 2):  # the shortest of equally good lags
            if lag // part >= 53 and correlation[lag // part - 1 : lag // part + 2].max() > 0.9 * correlation[lag]:
                lag //= part
                break
        if correlation[lag] > 0.4:
            found.append(24_000 / lag)
    return float(np.median(found))
