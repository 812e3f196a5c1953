"""Scripts written as JSON: what is wrong, what is not used, and where."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtake.script import Form, Pause, Script, Severity, parse_script


def said(script: Script) -> list[tuple[int, str]]:
    return [(turn.speaker, turn.text) for turn in script.turns]


def found(script: Script) -> list[tuple[str, int | None, int | None]]:
    return [(finding.code, finding.line, finding.column) for finding in script.findings]


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ('[{"speaker": 1,\n "text": }]', "broken_json", 2, 10),
        ('[{"speaker": 1, "text": "a"}] and', "broken_json", 1, 31),
        ('{"other": []}', "broken_json", 1, 1),
        ('[{"a":' + "[" * 100_000, "broken_json", 1, 1),
        ('[{"a":' + "1" * 5000 + "}]", "broken_json", 1, 1),
        ('[{"speaker": 1, "text": "a"},\n {"speaker": true, "text": "b"}]', "json_turn", 2, 2),
        ('[{"speaker": 1, "text": "a"}, 7]', "json_turn", 1, 31),
        ('[{"speaker": 1, "text": "a"}, {"pause": "x"}]', "json_turn", 1, 31),
        ('[{"speaker": 0, "text": "a"}]', "speaker_number", 1, 2),
    ],
)
def test_wrong_json_is_an_error_with_its_place(text: str, code: str, line: int, column: int) -> None:
    script = parse_script(text)
    assert script.form is Form.JSON
    assert found(script) == [(code, line, column)]
    assert script.findings[0].severity is Severity.ERROR


def test_json_pauses_numbers_and_surrogates() -> None:
    script = parse_script(
        '[{"pause": 0.5}, {"speaker": "Zoe", "text": "a\\n[pause]\\ud800b"},\n{"speaker": 1, "text": "c"}]'
    )
    assert [(turn.speaker, turn.parts, turn.line, turn.column) for turn in script.turns] == [
        (2, (Pause(0.5), "a", Pause(1.0), "b"), 1, 18),
        (1, ("c",), 2, 1),
    ]


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ('[{"speaker": 1, "text": "hi", "content": "lost words"}]', "json_words_lost", 1, 31),
        ('[{"speaker": 1, "text": "",\n "content": "lost words"}]', "json_words_lost", 2, 2),
        ('[{"speaker": 1, "text": "hi", "Lines": ["lost words"]}]', "json_words_lost", 1, 31),
        ('[{"speaker": 1, "text": "hi", "then": [{"text": "lost words"}]}]', "json_words_lost", 1, 31),
        ('[{"pause": 1, "line": "lost words"}]', "json_words_lost", 1, 15),
        ('[{"speaker": 1, "text": "a"},\n{"speaker": 2, "text": "a", "text": "b"}]', "json_key_twice", 2, 29),
        ('[{"speaker": 1, "speaker": 2, "text": "a"}]', "json_key_twice", 1, 17),
        ('[{"pause": 1, "pause": 2}]', "json_key_twice", 1, 15),
        ('{"turns": [{"speaker": 1, "text": "a"}],\n "turns": []}', "json_key_twice", 2, 2),
        ('{"turns": [{"speaker": 1, "text": "a"}], "script": [{"text": "b"}]}', "json_words_lost", 1, 42),
        ('{"text": "lost words", "turns": [{"speaker": 1, "text": "a"}]}', "json_words_lost", 1, 2),
        ('{"turns": [{"speaker": 1, "text": "a"}], "more": [{"who": 2, "text": "b"}]}', "json_words_lost", 1, 42),
    ],
)
def test_words_that_would_be_lost_are_an_error_at_their_key(text: str, code: str, line: int, column: int) -> None:
    script = parse_script(text)
    errors = [finding for finding in script.findings if finding.severity is Severity.ERROR]
    assert [(finding.code, finding.line, finding.column) for finding in errors] == [(code, line, column)]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('[{"speaker": 2, "text": "a", "pause": 3}]', 1, 30),
        ('[{"speaker": 2, "text": "a",\n "mood": "glad", "id": null}]', 2, 2),
        ('[{"speaker": 2, "name": "Zoe", "text": "a"}]', 1, 17),
        ('[{"speaker": 2, "text": "a", "text": "a"}]', 1, 30),
        ('[{"speaker": 2, "text": "a", "content": "a"}]', 1, 30),
        ('[{"speaker": 2, "text": "a", "line": 12}]', 1, 30),
        ('[{"speaker": 2, "text": "a", "content": ""}]', 1, 30),
        ('[{"speaker": 2, "text": "a"}, {"pause": 1, "why": "x"}]', 1, 44),
        ('{"title": "Show", "turns": [{"speaker": 2, "text": "a"}]}', 1, 2),
        ('{"script": 7, "turns": [{"speaker": 2, "text": "a"}]}', 1, 2),
    ],
)
def test_other_keys_that_are_not_used_are_a_warning(text: str, line: int, column: int) -> None:
    script = parse_script(text)
    assert said(script) == [(2, "a")]
    assert found(script) == [("json_key_ignored", line, column)]
    assert script.findings[0].severity is Severity.WARNING


def test_a_key_of_every_turn_is_told_once() -> None:
    turns = [{"speaker": 1, "text": "a", "id": number, "mood": "glad"} for number in range(100)]
    script = parse_script(json.dumps(turns))
    assert [finding.message[:33] for finding in script.findings] == [
        '"id" is ignored (100 times, the f',
        '"mood" is ignored (100 times, the',
    ]


def test_null_is_absent() -> None:
    script = parse_script('[{"speaker": 1, "text": "a", "pause": null}, {"pause": 2, "text": null, "speaker": null}]')
    assert script.turns[0].parts == ("a", Pause(2.0))
    assert script.findings == ()


def test_names_of_speakers() -> None:
    script = parse_script(
        json.dumps(
            [
                {"speaker": "Speaker 2 (laughing):", "text": "a"},
                {"speaker": "Speaker 3: hello", "text": "b"},
                {"speaker": "N" * 90, "text": "c"},
                {"speaker": " \u200b", "text": "d"},
            ]
        )
    )
    assert [(each.number, each.label) for each in script.speakers] == [
        (1, "Speaker 3: hello"),
        (2, "Speaker 2"),
        (3, "N" * 80),
    ]
    assert [code for code, _, _ in found(script)] == [
        "direction_not_spoken",
        "long_name",
        "json_turn",
        "control_characters",
    ]


def test_the_place_inside_a_text_is_where_the_text_begins() -> None:
    script = parse_script('[{"speaker": 1,\n  "text": "\\n\\n\\n [pause soon] \\u0007 [pause 61]"}]')
    assert found(script) == [("control_characters", 2, 11), ("pause_unreadable", 2, 11), ("pause_capped", 2, 11)]


def test_line_breaks_inside_a_text_are_spaces() -> None:
    assert said(parse_script('[{"speaker": 1, "text": "a\n b\u2028c\td"}]')) == [(1, "a b c d")]


@pytest.mark.parametrize("length", ["0.30000000000000004", "1e-1", "0.3", '"300ms"', '"0.3 s"'])
def test_lengths_that_programs_write(length: str) -> None:
    script = parse_script(f'[{{"speaker": 1, "text": "a"}}, {{"pause": {length}}}]')
    assert script.findings == ()
    assert script.trailing_pause_s == pytest.approx(0.1 if "e" in length else 0.3)


@pytest.mark.parametrize(
    "length", ['"\\ud800"', "true", "[[1]]", "{}", "-1", '"1] lost [pause 2"', "1e999", "NaN", '"x\\u001b[2J"']
)
def test_a_pause_that_cannot_be_read_is_an_error_that_can_be_shown(length: str) -> None:
    script = parse_script(f'[{{"speaker": 1, "text": "a"}},\n{{"pause": {length}}}]')
    assert found(script) == [("json_turn", 2, 1)]
    assert script.findings[0].message.isprintable()


BAD = r"\ud800"
TURN = '{"speaker": 1, "text": "hi"}'


@pytest.mark.parametrize(
    "text",
    [
        f'[{{"pause": "{BAD}"}}, {TURN}]',
        f'[{TURN},\n{{"speaker": "{BAD}", "text": "hi"}}]',
        f'[{TURN},\n{{"speaker": "Zoe{BAD}", "text": "hi {BAD}"}}]',
        f'[{TURN},\n{{"speaker": 1, "text": "{BAD}"}}]',
        f'[{TURN},\n{{"speaker": 1, "text": "hi [pause {BAD}]"}}]',
        f'[{TURN},\n{{"speaker": 1, "text": "hi", "{BAD}": "x"}}]',
        f'[{TURN},\n{{"speaker": 1, "text": "hi", "{BAD}": 1, "content": "{BAD}"}}]',
        f'{{"turns": [{TURN}],\n"{BAD}": [{{"text": "{BAD}"}}]}}',
        f'[{TURN},\n{{"speaker": "Speaker 1 ({BAD})", "text": "hi"}}]',
        "\ud800{}",
        "Alice\ud800: hi\nBob: [pause \ud800] hi\nAlice\ud800: hi",
    ],
)
def test_nothing_that_comes_out_holds_a_lone_surrogate(text: str) -> None:
    script = parse_script(text)
    assert script.findings
    assert all(finding.line for finding in script.findings)
    for told in (
        *(finding.message for finding in script.findings),
        *(speaker.label for speaker in script.speakers),
        *(turn.text for turn in script.turns),
    ):
        assert told.encode()


def test_pauses_after_one_turn_take_linear_time() -> None:
    text = f"[{TURN}" + ',{"pause":1}' * 16_000 + "]"
    started = time.perf_counter()
    script = parse_script(text)
    assert time.perf_counter() - started < 1.5  # about 0.2 s
    assert script.trailing_pause_s == 16_000
    assert len(script.turns) == 1


@pytest.mark.parametrize("unit", [',"text":"a"', ',"k":1', ',"content":"b"', ',"text":null'])
def test_keys_of_one_turn_take_linear_time(unit: str) -> None:
    text = f'[{{"speaker":1,"text":"a"{unit * (100_000 // len(unit))}}}]'
    started = time.perf_counter()
    parse_script(text)
    assert time.perf_counter() - started < 1.5


KEYS = st.sampled_from(["speaker", "name", "text", "content", "pause", "id", "turns", "script"])
WORDS = ("w1", "w2 [pause]")
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-1, 101), st.floats(), st.sampled_from([*WORDS, ""]))
EXTRA = st.lists(st.tuples(KEYS, SCALARS), max_size=3)
TURNS = st.tuples(st.permutations([("speaker", 1), ("text", "w0")]), EXTRA).map(lambda pair: [*pair[0], *pair[1]])


@given(st.lists(TURNS | EXTRA, min_size=1, max_size=5))
def test_no_word_is_lost_without_a_finding(items: list[list[tuple[str, object]]]) -> None:
    written = ["{" + ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in item) + "}" for item in items]
    script = parse_script("[" + ",\n".join(written) + "]")
    assert script.form is Form.JSON
    explained = {finding.line for finding in script.findings}
    spoken = {turn.line: turn.text.split() for turn in script.turns}
    for line, item in enumerate(items, start=1):
        words = {str(value).split()[0] for key, value in item if key in ("text", "content") and value in WORDS}
        assert line in explained or words <= set(spoken.get(line, []))
