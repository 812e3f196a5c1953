from __future__ import annotations

import itertools
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtake.audio.subtitles import Cue, SpokenPassage, build_cues, line_starts, to_srt, to_vtt
from longtake.core.records import Line, Mark

TWO = {1: "Alice", 2: "Bob"}


def unmarked(start_s: float, duration_s: float, text: str, speaker: int = 1, language: str = "en") -> SpokenPassage:
    return SpokenPassage(start_s, duration_s, (), (Line(speaker, text, language),))


def marked(start_s: float, words: list[tuple[float, float, str]], speaker: int = 1) -> SpokenPassage:
    marks = tuple(Mark(begin, end, text, speaker) for begin, end, text in words)
    return SpokenPassage(start_s, words[-1][1], marks, (Line(speaker, "".join(w[2] for w in words), "en"),))


def test_times_come_from_the_marks() -> None:
    words = [(0.1, 0.4, "Good "), (0.4, 1.3, "evening, "), (2.4, 2.9, "and "), (2.9, 3.7, "welcome.")]
    assert list(build_cues([marked(10.0, words)])) == [
        Cue(pytest.approx(10.1), pytest.approx(11.3), "Good evening,", None),  # type: ignore[arg-type]
        Cue(pytest.approx(12.4), pytest.approx(13.7), "and welcome.", None),  # type: ignore[arg-type]
    ]


def test_without_marks_time_is_spread_by_characters() -> None:
    first = "This is the first sentence of a longer passage, spoken slowly. "
    second = "And this is the second one, which is about as long as the first."
    cues = list(build_cues([unmarked(5.0, 12.7, first + second)]))
    assert [c.text.replace("\n", " ") for c in cues] == [first.strip(), second]
    assert cues[0].start_s == 5.0
    assert cues[1].start_s == pytest.approx(5.0 + 12.7 * len(first) / len(first + second))
    assert cues[-1].end_s == pytest.approx(17.7)


def test_long_sentences_break_after_a_comma() -> None:
    text = "When the small boats came back before the storm that evening, nobody asked the men where they had been."
    cues = list(build_cues([unmarked(0, 6.0, text)]))
    assert cues[0].text.endswith("evening,")
    assert " ".join(c.text.replace("\n", " ") for c in cues) == text


def test_two_balanced_lines() -> None:
    (cue,) = build_cues([unmarked(0, 4.0, "She had counted nine of them at dawn; now there were only seven.")])
    assert cue.text == "She had counted nine of them at dawn;\nnow there were only seven."


def test_speakers_never_share_a_cue() -> None:
    lines = (Line(1, "Shall we? ", "en"), Line(2, "We shall. ", "en"), Line(1, "Good.", "en"))
    cues = list(build_cues([SpokenPassage(0, 3.0, (), lines)], TWO))
    assert [(c.speaker_label, c.text) for c in cues] == [
        ("Alice", "Shall we?"),
        ("Bob", "We shall."),
        ("Alice", "Good."),
    ]


def test_short_cues_stay_for_a_second_but_not_into_the_next() -> None:
    cues = list(build_cues([unmarked(0, 0.3, "Yes."), unmarked(0.5, 0.3, "No."), unmarked(9, 0.3, "Well.")]))
    assert [c.start_s for c in cues] == [0, 0.5, 9]
    assert [c.end_s for c in cues] == pytest.approx([0.5, 1.5, 10.0])


def test_sentences_that_would_fit_one_cue_get_their_own() -> None:
    cues = build_cues([unmarked(0, 5.0, "This is the first sentence spoken. And here is the second.")])
    assert [c.text for c in cues] == ["This is the first sentence spoken.", "And here is the second."]


COMMA, QUESTION = "\uff0c", "\uff1f"  # full width


def test_chinese_fills_narrower_lines_and_keeps_its_punctuation() -> None:
    text = f"小船在暴风雨之前就都已经全部回来了呢{COMMA}没有人问为什么。黎明时她数过有九条{COMMA}现在只剩下七条了。"
    text += f"我说大海自己记账{COMMA}就是这个意思。你看不见账本{COMMA}可是你总要付钱{QUESTION}" * 2
    cues = list(build_cues([unmarked(0, 22, text, language="zh")]))
    assert "".join(c.text.replace("\n", "") for c in cues) == text
    lines = [line for c in cues for line in c.text.split("\n")]
    assert all(len(line) <= 18 for line in lines)
    assert not any(line[0] in f"{COMMA}{QUESTION}。" for line in lines)
    assert all(c.text[-1] in f"{COMMA}{QUESTION}。" for c in cues)


def test_chinese_breaks_at_a_comma_rather_than_inside_a_clause() -> None:
    (first, second) = build_cues([unmarked(0, 8, "天" * 20 + COMMA + "地" * 20 + "。", language="zh")])
    assert first.text.endswith(COMMA)
    assert second.text.startswith("地")


@pytest.mark.parametrize(
    ("text", "lines"), [("天" * 13 + "」" + "地" * 13, (14, 13)), ("天" * 13 + "「" + "地" * 14, (13, 15))]
)
def test_brackets_stay_with_what_they_enclose(text: str, lines: tuple[int, int]) -> None:
    (cue,) = build_cues([unmarked(0, 6, text, language="zh")])
    assert tuple(len(line) for line in cue.text.split("\n")) == lines


def width_in_latin_characters(line: str) -> float:
    return sum(42 / 18 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


texts = st.text(st.sampled_from(f"abc déf. ,!?天地人。{COMMA}ひらい한국 &<>-"), min_size=1, max_size=400).filter(
    str.strip
)


@given(st.lists(st.tuples(texts, st.floats(0.05, 60), st.floats(0, 3), st.integers(1, 3)), min_size=1, max_size=4))
def test_every_cue_fits_and_no_text_is_lost(parts: list[tuple[str, float, float, int]]) -> None:
    passages, now_s = [], 0.0
    for text, duration_s, pause_s, speaker in parts:
        passages.append(unmarked(now_s + pause_s, duration_s, text, speaker))
        now_s += pause_s + duration_s
    cues = list(build_cues(passages, TWO))
    said = re.sub(r"\s", "", "".join(text for text, *_ in parts))
    assert re.sub(r"\s", "", "".join(c.text for c in cues)) == said
    for cue in cues:
        lines = cue.text.split("\n")
        assert len(lines) <= 2
        assert all(width_in_latin_characters(line) <= 42.001 for line in lines)
        assert cue.end_s >= cue.start_s
    for before, after in itertools.pairwise(cues):
        assert before.end_s <= after.start_s


@given(texts, st.floats(1, 60))
def test_no_cue_lasts_longer_than_seven_seconds_unless_one_word_does(text: str, duration_s: float) -> None:
    for cue in build_cues([unmarked(0, duration_s, text)]):
        one_piece = not cue.text.strip().count(" ") and len(cue.text) < 43
        assert cue.end_s - cue.start_s <= 7.001 or one_piece


def test_srt_names_the_speaker_when_it_changes() -> None:
    cues = [Cue(0, 1.5, "One.", "Alice"), Cue(2, 3, "Two.", "Alice"), Cue(3661.0005, 3662.25, "a --> b", "Bob")]
    assert "".join(to_srt(cues)) == (
        "1\n00:00:00,000 --> 00:00:01,500\nAlice: One.\n\n"
        "2\n00:00:02,000 --> 00:00:03,000\nTwo.\n\n"
        "3\n01:01:01,000 --> 01:01:02,250\nBob: a → b\n\n"
    )
    assert "Alice" not in "".join(to_srt([Cue(0, 1, "One.", None)]))


def test_vtt_escapes_and_tags_the_voice() -> None:
    cues = [Cue(0, 1.5, "Salt & <pepper> --> here", "A<l>ice"), Cue(2, 3, "Two\nlines.", None)]
    assert "".join(to_vtt(cues)) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:01.500\n<v A&lt;l&gt;ice>Salt &amp; &lt;pepper&gt; --&gt; here\n\n"
        "00:00:02.000 --> 00:00:03.000\nTwo\nlines.\n\n"
    )


def test_one_speaker_has_no_label_and_an_unnamed_one_has_a_number() -> None:
    assert next(build_cues([unmarked(0, 2, "Hello.")], {1: "Alice"})).speaker_label is None
    assert next(build_cues([unmarked(0, 2, "Hello.", 5)], TWO)).speaker_label == "Speaker 5"


def test_cues_are_made_as_passages_come() -> None:
    taken: list[int] = []

    def passages() -> object:
        for i in range(100):
            taken.append(i)
            yield unmarked(i * 2.0, 1.5, "A sentence.")

    cues = build_cues(passages())  # type: ignore[arg-type]
    next(cues)
    assert len(taken) <= 3


def test_lines_begin_where_their_first_words_are_heard() -> None:
    lines = (Line(1, "One two. ", "en"), Line(2, "Three.", "en"), Line(1, " Four five.", "en"))
    marks = tuple(
        Mark(place + 0.1, place + 0.9, text, speaker)
        for place, (text, speaker) in enumerate([("One ", 1), ("two. ", 1), ("Three.", 2), (" Four ", 1), ("five.", 1)])
    )
    marked = SpokenPassage(10.0, 5.0, marks, lines)
    assert line_starts(marked) == [0.0, 2.1, 3.1]
    spread = SpokenPassage(10.0, 26.0, (), lines)  # a second a character
    assert line_starts(spread) == [0.0, 9.0, 15.0]
    shown = {cue.start_s for cue in build_cues([spread], TWO)}
    assert shown >= {10.0, 19.0, 25.0}, "the times that subtitles show"


def test_what_is_spoken_of_a_passage_so_far_is_its_beginning() -> None:
    lines = (Line(1, "aaaa", "en"), Line(2, "bbbb", "en"), Line(1, "cccc", "en"))
    half = SpokenPassage(0.0, 6.0, (), lines, text_s=12.0)
    assert line_starts(half) == [0.0, 4.0]
    cues = list(build_cues([half], TWO))
    assert [(cue.text, cue.start_s, cue.end_s) for cue in cues] == [("aaaa", 0.0, 4.0), ("bbbb", 4.0, 6.0)]
    longer = SpokenPassage(0.0, 15.0, (), lines, text_s=12.0)  # than was thought
    assert line_starts(longer) == [0.0, 5.0, 10.0]
