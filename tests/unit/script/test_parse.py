"""Every way of writing a script, and no line lost."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtake.script import Form, Pause, Script, Severity, parse_plain, parse_script


def said(script: Script) -> list[tuple[int, str]]:
    return [(turn.speaker, turn.text) for turn in script.turns]


def found(script: Script) -> list[tuple[str, int | None, int | None]]:
    return [(finding.code, finding.line, finding.column) for finding in script.findings]


@pytest.mark.parametrize(
    "text",
    [
        "Speaker 1: Hi.\nSpeaker 2: Yo.",
        "speaker 1 : Hi.\n\n\nSPEAKER2： Yo.",
        "[1]: Hi.\n[2]: Yo.",
        "[1] Hi.\n[2] Yo.",
        "Alice: Hi.\nBob: Yo.",
        "**Alice:** Hi.\n**Bob**: Yo.",
        "- Alice: Hi.\n* Bob: Yo.",
        "> Alice: Hi.\n> Bob: Yo.",
        "*Alice*: Hi.\n__Bob__: Yo.",
        "**Alice: Hi.**\n**Bob: Yo.**",
        "### Alice:\nHi.\n### Bob:\nYo.",
        "[Alice]: Hi.\n【Bob】：Yo.",
        "爱丽丝：Hi.\n鲍勃:Yo.",
        "アリス：Hi.\nボブ：Yo.",
        "说话人1：Hi.\n角色2：Yo.",
        "说话人一：Hi.\n说话人二：Yo.",
        "Speaker 1 (Alice): Hi.\nSpeaker 2: Yo.",
        '[{"speaker": 1, "text": "Hi."}, {"speaker": 2, "text": "Yo."}]',
        '{"turns": [{"speaker": "Alice", "text": "Hi."}, {"speaker": "Bob", "text": "Yo."}]}',
        ' { "title": {"a": [1]}, "script": [{"name": "[1]", "content": "Hi."}, {"speaker": "2", "text": "Yo."}]}',
    ],
)
def test_forms_of_a_dialogue(text: str) -> None:
    assert said(parse_script(text)) == [(1, "Hi."), (2, "Yo.")]


@pytest.mark.parametrize(
    "text",
    [
        "He said: hello there.",
        "Note: this is one.\nNote: this is another.",
        "Warning: hot.",
        "See\nhttp://example.com/x and\nhttp://example.com/y",
        "We met at\n12:30 and at\n14:30 again.",
        "Chapter 1: The start\nChapter 2: The end",
        "A footnote says so.\n[1] Smith et al.",
        "小明说：“你好。”\n小红问：“好吗？”",
        "注意：小心。\n注意：地滑。",
        "It rained.\n\nRecipes: many.\n\nIt rained on.\n\nIt went on raining.\n\nAnd on.",
        "Recipes: many.\n\nIt rained.\n\nPrices: low.\n\nIt went on.",
        "It rained.\n\nIt snowed.\n\nOnce more.\n\nRain: wet.\n\nNo end.\n\nRain: wet.\n\nAnd on.",
        "C:\\temp is a folder.\nD:\\temp is a folder.",
    ],
)
def test_prose_has_one_speaker_and_keeps_every_word(text: str) -> None:
    script = parse_script(text)
    assert script.form is Form.PROSE
    assert {turn.speaker for turn in script.turns} == {1}
    assert " ".join(turn.text for turn in script.turns).split() == text.split()


def test_a_lone_name_counts_only_when_it_opens_the_only_paragraph() -> None:
    assert said(parse_script("[pause]\nAlice: Hi.")) == [(1, "Hi.")]
    prose = parse_script("Alice: Hi.\n\nIt rained.")
    assert said(prose) == [(1, "Alice: Hi."), (1, "It rained.")]
    assert found(prose) == [("name_not_sure", 1, 1)]


def test_lower_case_names_need_repetition() -> None:
    assert said(parse_script("alice: a\nbob: b\nalice: c")) == [(1, "a"), (2, "b"), (1, "c")]
    assert parse_script("alpha: a\nbeta: b").form is Form.PROSE


def test_a_name_in_a_numbered_script_must_occur_twice() -> None:
    once = parse_script("Speaker 1: a\nSpeaker 2: b\nZoe: c")
    assert said(once) == [(1, "a"), (2, "b Zoe: c")]
    assert found(once) == [("name_not_sure", 3, 1)]
    assert once.findings[0].severity is Severity.WARNING
    assert said(parse_script("Speaker 1: a\nZoe: b\nSpeaker 3: c\nzoe: d")) == [(1, "a"), (2, "b"), (3, "c"), (2, "d")]


def test_speakers_are_counted() -> None:
    script = parse_script("Alice: one\nBob: two\nALICE: three")
    assert [(each.number, each.label, each.turns, each.characters) for each in script.speakers] == [
        (1, "Alice", 2, 8),
        (2, "Bob", 1, 3),
    ]
    assert script.characters == 11


def test_continuation_lines_and_paragraphs() -> None:
    script = parse_script("Alice: one\n  two\n\nthree\nBob:\n\nfour\nAlice: five")
    assert [(turn.speaker, turn.text, turn.line, turn.column) for turn in script.turns] == [
        (1, "one two", 1, 1),
        (1, "three", 4, 1),
        (2, "four", 5, 1),
        (1, "five", 8, 1),
    ]


def test_long_lines_of_prose_are_paragraphs_and_wrapped_lines_are_not() -> None:
    long = "This line is far longer than anybody wraps a line by hand, so its end is the end of a paragraph, too."
    assert len(parse_script(f"{long}\n{long}").turns) == 2
    assert len(parse_script("A wrapped line.\nAnother one.").turns) == 1
    assert len(parse_script(f"{long[:-1]}\n{long}").turns) == 1


@pytest.mark.parametrize(
    ("mark", "seconds"),
    [
        ("[pause]", 1.0),
        ("[pause 0.8s]", 0.8),
        ("[pause 800ms]", 0.8),
        ("[Pause: 2 sec]", 2.0),
        ("[pause:1500]", 1.5),
        ("[pause 3]", 3.0),
        ("[停顿 1秒]", 1.0),
        ("【停顿500毫秒】", 0.5),
    ],
)
def test_pauses_inside_and_between_lines(mark: str, seconds: float) -> None:
    script = parse_script(f"Alice: one {mark} two\n{mark}\nBob: three\n{mark}")
    pause = Pause(seconds)
    assert [turn.parts for turn in script.turns] == [("one", pause, "two", pause), ("three", pause)]
    assert script.findings == ()
    assert script.trailing_pause_s == seconds


def test_leading_pauses_wait_for_the_first_turn() -> None:
    assert parse_script("[pause 2]\nAlice: a\nBob: b").turns[0].parts == (Pause(2.0), "a")
    assert parse_script("[pause 2]").turns[0].parts == (Pause(2.0),)
    assert parse_script("[pause]: a\n[pause]: b").turns[0].parts == (Pause(1.0), ": a", Pause(1.0), ": b")


def test_odd_pauses_are_found() -> None:
    script = parse_script("one [pause 61s] two [pause soon] three")
    assert script.turns[0].parts == ("one", Pause(60.0), "two [pause soon] three")
    assert found(script) == [("pause_capped", 1, 5), ("pause_unreadable", 1, 21)]


@pytest.mark.parametrize("label", ["Speaker 0", "[0]", "Speaker 100", "[12345678901234567890]", "说话人0"])
def test_speaker_numbers_out_of_range_are_errors(label: str) -> None:
    script = parse_script(f"Speaker 1: a\n  {label}: b")
    assert found(script) == [("speaker_number", 2, 3)]
    assert script.findings[0].severity is Severity.ERROR
    assert "start at 1" in script.findings[0].message
    assert said(script) == [(1, "a"), (2, "b")]


def test_what_is_not_spoken_is_noted() -> None:
    script = parse_script("# Title\nIntro\nAlice (laughing): a\n---\nBob:\nAlice: b")
    assert said(script) == [(1, "Intro"), (1, "a"), (1, "b")]
    assert [code for code, _, _ in found(script)] == [
        "heading_not_spoken",
        "text_before_label",
        "direction_not_spoken",
        "mark_not_spoken",
        "empty_turn",
    ]


def test_a_fence_is_a_mark_and_a_line_between_backticks_is_text() -> None:
    script = parse_script("Look\n```python\nprint\n```\n```all of this```")
    assert said(script) == [(1, "Look"), (1, "print"), (1, "```all of this```")]
    assert [code for code, _, _ in found(script)] == ["mark_not_spoken"] * 2


PLAIN = [
    '{"a": 1} is JSON',
    '{"turns": [{"speaker": 1, "text": "Hi."}]}',
    '[{"speaker": 1, "text": "Hi."}]',
    "Speaker 0: boot",
    "Speaker 1: Hi.\nSpeaker 2: Yo.",
    "Alice: Hi.\nBob (laughing): Yo.\nAlice:",
    "[1] Hi.\n[0] Yo.",
    "说话人1：你好。",
    "Error: disk full",
    "```python\nimport this\n```all of this```",
]


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_text_is_read_as_it_is(text: str) -> None:
    script = parse_plain(text)
    assert script.form is Form.PROSE
    assert script.input_characters == len(text)
    assert {turn.speaker for turn in script.turns} == {1}
    assert " ".join(turn.text for turn in script.turns).split() == text.split()
    assert script.findings == ()


def test_a_plain_text_has_pauses_headings_and_paragraphs() -> None:
    script = parse_plain("\ufeff# One: two\nA. [pause 0.8s]\nB: b\n\n---\nC\ud800 [pause soon] [pause 61s]")
    assert [turn.parts for turn in script.turns] == [
        ("One: two",),
        ("A.", Pause(0.8), "B: b"),
        ("C [pause soon]", Pause(60.0)),
    ]
    assert [code for code, _, _ in found(script)] == [
        "mark_not_spoken",
        "control_characters",
        "pause_unreadable",
        "pause_capped",
    ]
    assert parse_plain("").turns == parse_plain(" \n").turns == ()


@given(st.text(max_size=300) | st.lists(st.sampled_from([*PLAIN, "> ", "- ", "**", "```", "["])).map("\n".join))
def test_no_letter_of_a_plain_text_is_lost(text: str) -> None:
    script = parse_plain(text)
    spoken = "".join(turn.text for turn in script.turns)
    assert [char for char in spoken if char.isalnum()] == [char for char in text if char.isalnum()]
    assert all(finding.severity is not Severity.ERROR for finding in script.findings)


def test_headings_of_prose_are_spoken_alone() -> None:
    assert said(parse_script("# 1984 begins\nIt was **cold**.\n## More\nYes.")) == [
        (1, "1984 begins"),
        (1, "It was cold."),
        (1, "More"),
        (1, "Yes."),
    ]


def test_characters_that_cannot_be_spoken() -> None:
    script = parse_script("\ufeff  \u200bAlice: h\x00i\u202e\nBob: می\u200cخواهم a\u200db")
    assert said(script) == [(1, "hi"), (2, "می\u200cخواهم ab")]
    assert found(script) == [("control_characters", 1, 3), ("control_characters", 2, 16)]
    assert "U+0000, U+200B, U+202E" in script.findings[0].message
    assert script.turns[0].column == 4


WORDS = st.integers(min_value=0, max_value=10**6).map(lambda number: f"w{number},x")
PIECES = st.one_of(
    WORDS,
    st.sampled_from(
        [
            "Speaker 1:",
            "[2]:",
            "[3]",
            "Speaker 0:",
            "Alice:",
            "**Bob:**",
            "bob:",
            "Note:",
            "- ",
            "> ",
            "# ",
            "[pause]",
            "[pause 99s]",
            "[pause x]",
        ]
    ),
    st.sampled_from(
        ["---", "```", "\u200b", "：", ":", "(", ")", "[", "]", "*", "**", "爱丽丝：", "\t", "  ", "{", '"', "。"]
    ),
)
LINES = st.lists(st.lists(PIECES, max_size=5).map(" ".join), max_size=12)


@given(LINES)
def test_no_line_is_lost(lines: list[str]) -> None:
    script = parse_script("\n".join(lines))
    if script.form is Form.JSON:  # opens like JSON and is none
        assert script.findings
        return
    spoken = {word for turn in script.turns for word in turn.text.split()}
    explained = {finding.line for finding in script.findings}
    for number, line in enumerate(lines, start=1):
        if number not in explained:
            assert {word for word in line.split() if word.startswith("w")} <= spoken
    pauses = sum(isinstance(part, Pause) for turn in script.turns for part in turn.parts)
    unspoken = {each.line for each in script.findings if each.code.endswith("_not_spoken")}
    written = [line.count("[pause]") + line.count("[pause 99s]") for line in lines]
    least = sum(count for number, count in enumerate(written, start=1) if number not in unspoken)
    assert least <= pauses <= sum(written)


@given(st.text(max_size=300))
def test_any_text_is_read_and_every_line_is_somewhere(text: str) -> None:
    script = parse_script(text)
    spoken = "".join(turn.text for turn in script.turns)
    assert all(
        isinstance(part, Pause) or part == " ".join(part.split()) != "" for turn in script.turns for part in turn.parts
    )
    assert "\n" not in spoken
    assert all(finding.line and finding.column for finding in script.findings)
    if text.strip("\ufeff \t\n\r\f\v\x85\u2028\u2029").strip():
        assert script.turns or script.findings


@pytest.mark.parametrize(
    "unit",
    [
        "[pause ",
        "**",
        "- ",
        "> ",
        "[",
        "# ",
        "(",
        "Alice:",
        "Alice (",
        "_",
        "*a",
        "[1]",
        ": ",
        "\u200b",
        "  :",
        "「",
        '"',
        "```",
        "\u3000",
    ],
)
def test_time_is_linear_in_hostile_text(unit: str) -> None:
    for text in (unit * (100_000 // len(unit)), (unit * 20 + "\n") * (5_000 // len(unit))):
        started = time.perf_counter()
        parse_script(text)
        parse_script("```" + text + "!")
        parse_plain(text)
        assert time.perf_counter() - started < 2.0
