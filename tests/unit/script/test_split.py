"""Passages hold all the text in order, under the cap, with the pauses between them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtake.core.records import EngineInfo, Passage, PassageShape
from longtake.script import Gaps, Pause, Script, parse_script, split_passages
from longtake.script.sentences import fit, sentences_of

GAPS = Gaps(turn_s=0.5, sentence_s=0.25)


def engine(cap: int = 300, shape: PassageShape = PassageShape.SENTENCE) -> EngineInfo:
    return EngineInfo("e", "Engine", shape, None, cap, 1, {"*": 150.0})


def split(text: str, cap: int = 300, shape: PassageShape = PassageShape.SENTENCE) -> tuple[Passage, ...]:
    return split_passages(parse_script(text), engine(cap, shape), GAPS)


def texts(passages: tuple[Passage, ...]) -> list[str]:
    return [line.text for passage in passages for line in passage.lines]


def bare(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Smith left. He was tired!", ["Dr. Smith left.", "He was tired!"]),
        ("三位数的加减法对我来说小菜一碟.我们走吧。好！", ["三位数的加减法对我来说小菜一碟.", "我们走吧。", "好！"]),
        ("你好。Mr. Smith来自U.S.吗？Yes. 是的。", ["你好。", "Mr. Smith来自U.S.吗？", "Yes.", "是的。"]),
        ("こんにちは。元気ですか？", ["こんにちは。", "元気ですか？"]),
        ("Wait... ... what?", ["Wait...", "... what?"]),
        ("… Hello. !!! Bye.", ["… Hello. !!!", "Bye."]),
    ],
)
def test_one_passage_a_sentence(text: str, sentences: list[str]) -> None:
    assert texts(split(text)) == sentences


def test_gaps_and_pauses() -> None:
    passages = split("[pause 2]\nA: One. Two. [pause 1] Three.\nB: Four.\n[pause 3]\nA: Five.\n[pause 4]")
    assert [(passage.index, passage.silence_before_s) for passage in passages] == [
        (0, 2.0),
        (1, 0.25),
        (2, 1.25),
        (3, 0.5),
        (4, 3.5),
    ]


def test_a_turn_of_punctuation_is_silent_but_its_pauses_stay() -> None:
    passages = split("A: One. [pause 1]\nB: ... [pause 2]\nA: Two.")
    assert [(passage.lines[0].text, passage.silence_before_s) for passage in passages] == [("One.", 0.0), ("Two.", 3.5)]


def test_punctuation_between_pauses_goes_where_there_is_room() -> None:
    assert texts(split("One. [pause] ... [pause] Two.")) == ["One. ...", "Two."]
    assert texts(split("One. [pause] ... [pause] Two.", 7)) == ["One.", "...Two."]


def test_languages_of_lines() -> None:
    passages = split("A: 東京。これは日本語です。\nB: Hello there.")
    assert [passage.lines[0].language for passage in passages] == ["ja", "ja", "en"]
    fr = split_passages(parse_script("Bonjour."), engine(), GAPS, "fr")
    assert fr[0].lines[0].language == "fr"


@pytest.mark.parametrize(
    ("text", "cap", "pieces"),
    [
        ("one two, three four", 12, ["one two,", "three four"]),
        ("one two three four", 9, ["one two", "three", "four"]),
        ("1,000,000 people", 12, ["1,000,000", "people"]),
        ("我们今天去，明天回来", 6, ["我们今天去，", "明天回来"]),
        ("你好世界啊。", 5, ["你好世界", "啊。"]),
        ("e\u0301" * 4, 5, ["e\u0301e\u0301", "e\u0301e\u0301"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("ok" + "!" * 9, 4, ["ok!!"]),
        ("?!", 9, []),
    ],
)
def test_fit(text: str, cap: int, pieces: list[str]) -> None:
    assert fit(text, cap) == pieces


def test_pieces_of_one_sentence_have_no_gap() -> None:
    passages = split("one two, three four. Five.", 12)
    assert [passage.silence_before_s for passage in passages] == [0.0, 0.0, 0.25]


def test_dialogue_passages_are_cut_at_turns_pauses_and_sentences() -> None:
    passages = split("A: one one.\nB: two two.\nA: three.\nB: [pause 1] four.\nA: five.", 18, PassageShape.DIALOGUE)
    assert [[line.text for line in passage.lines] for passage in passages] == [
        ["one one.", "two two."],
        ["three."],
        ["four.", "five."],
    ]
    assert [passage.silence_before_s for passage in passages] == [0.0, 0.5, 1.5]
    assert [line.speaker for line in passages[2].lines] == [2, 1]
    long = split("A: Hi.\nB: One two. Three four. Five six. Seven.\nA: Bye.", 22, PassageShape.DIALOGUE)
    assert texts(long) == ["Hi.", "One two. Three four.", "Five six. Seven.", "Bye."]
    assert [passage.silence_before_s for passage in long] == [0.0, 0.5, 0.25]


def test_long_paragraphs_keep_their_sentences_whole() -> None:
    sentence = "This is the sentence, the one and only, that is said again and again."
    text = " ".join([sentence] * 500)
    assert {each.strip() for each in sentences_of(text, "en")} == {sentence}
    assert "".join(sentences_of(text, "en")) == text


WORD = st.sampled_from(
    [
        "Hello",
        "a",
        "1,000",
        "Dr.",
        "你好",
        "小菜一碟",
        "é",
        "东京は",
        "U.S.",
        "extraordinarily",
        "한국",
        "[pause 1s] so",
    ]
)
MARK = st.sampled_from(["", "", "", " ", ".", "。", ",", "，", "?", "…", '"', "“", "”", ")"])
TURN = st.lists(st.tuples(WORD, MARK).map("".join), min_size=1, max_size=25).map(" ".join)
LABEL = st.sampled_from(["Speaker 1: ", "Speaker 2: ", "\n"])
SCRIPT = st.lists(st.tuples(LABEL, TURN).map("".join), min_size=1, max_size=6).map("\n".join)


def speech(script: Script) -> str:
    return bare("".join(turn.text for turn in script.turns if any(map(str.isalnum, turn.text))))


@given(SCRIPT, st.integers(min_value=20, max_value=120), st.sampled_from(list(PassageShape)))
def test_passages_hold_all_of_the_text(text: str, cap: int, shape: PassageShape) -> None:
    script = parse_script(text)
    passages = split_passages(script, engine(cap, shape), Gaps(0.0, 0.0))
    assert bare("".join(texts(passages))) == speech(script)
    assert [passage.index for passage in passages] == list(range(len(passages)))
    for passage in passages:
        assert sum(len(line.text) for line in passage.lines) <= cap
        assert all(line.text == line.text.strip() and any(map(str.isalnum, line.text)) for line in passage.lines)
    pauses_s = sum(part.seconds for turn in script.turns for part in turn.parts if isinstance(part, Pause))
    assert sum(passage.silence_before_s for passage in passages) + script.trailing_pause_s == pytest.approx(pauses_s)


@given(st.text(max_size=200), st.integers(min_value=1, max_value=30), st.sampled_from(list(PassageShape)))
def test_no_letter_is_lost_under_any_cap(text: str, cap: int, shape: PassageShape) -> None:
    script = parse_script(text)
    passages = split_passages(script, engine(cap, shape), GAPS)
    letters = [char for turn in script.turns for char in turn.text if char.isalnum()]
    assert [char for each in texts(passages) for char in each if char.isalnum()] == letters
    assert all(0 < sum(len(line.text) for line in passage.lines) <= cap for passage in passages)


@given(
    st.lists(st.sampled_from(["[pause 60s]", "[pause 2]", "...", "One.", "\nA: ", "\nB: ", "\n\n"]), max_size=20),
    st.sampled_from(list(PassageShape)),
)
def test_every_pause_is_before_a_passage_or_at_the_end(pieces: list[str], shape: PassageShape) -> None:
    script = parse_script("A: x\nB: " + " ".join(pieces))
    passages = split_passages(script, engine(10, shape), Gaps(0.0, 0.0))
    pauses_s = sum(60.0 if piece == "[pause 60s]" else 2.0 for piece in pieces if piece.startswith("[pause"))
    assert sum(passage.silence_before_s for passage in passages) + script.trailing_pause_s == pauses_s
    tail = " ".join(pieces).rpartition("One.")[2]
    assert script.trailing_pause_s == 60.0 * tail.count("[pause 60s]") + 2.0 * tail.count("[pause 2]")


def test_a_book_is_split_in_no_time() -> None:
    turn = "Well, Dr. Smith said 'hello' to all 5 of them. 三位数的加减法对我来说小菜一碟. And so on, 好吗？\n"
    text = "".join(f"Speaker {number % 4 + 1}: {turn}" for number in range(2600))
    assert len(text) > 200_000
    best_s = 10.0
    for _ in range(3):
        started = time.perf_counter()
        assert len(split_passages(parse_script(text), engine(), GAPS)) > 5000
        best_s = min(best_s, time.perf_counter() - started)
    assert best_s < 1.0  # about 0.1 s; the rest is for a busy machine


@pytest.mark.parametrize("unit", ["“", "\"'", "a.", "“a. ", "(", "。", "a", "中", ",", "e\u0301"])
def test_time_is_linear_in_hostile_text(unit: str) -> None:
    started = time.perf_counter()
    split(unit * (100_000 // len(unit)), 200)
    assert time.perf_counter() - started < 2.5
