from __future__ import annotations

from typing import Any

import pytest

from longtake.core.errors import InputError
from longtake.engines.vibevoice.network.names import DIFFUSION, END, EOS, START
from longtake.engines.vibevoice.prompting.prompt import build_prompt, measure_prompt
from longtake.engines.vibevoice.prompting.tokenizer import TextTokenizer, build_byte_tokenizer, load_tokenizer
from tests.support import golden
from tests.support.checkpoints import TOKENIZER

# Where we do the right thing instead; each has a test of its own below.
BETTER = {
    "ids 1 and 3 with three voices: only two voices are kept",
    "smallest id above 0: every id is lowered by exactly one",
    "id 0 present: ids stay",
    "special token text is tokenised as the special token",
}
PROMPTS: list[dict[str, Any]] = golden.read_json("prompts.json")


@pytest.fixture(scope="module")
def qwen() -> TextTokenizer:
    return load_tokenizer(TOKENIZER.parent)


def frames(samples: int) -> int:
    return -(-samples // 3200)


def lines_of(prompt: dict[str, Any]) -> list[tuple[int, str]]:
    return [(number, text.strip()) for number, text in prompt["parsed"]]


@pytest.mark.parametrize("prompt", [p for p in PROMPTS if p["note"] not in BETTER], ids=lambda p: p["note"])
@pytest.mark.parametrize("first", [0, 1], ids=["counted from 0", "counted from 1"])
def test_prompts_are_the_references(qwen: TextTokenizer, prompt: dict[str, Any], first: int) -> None:
    lines = [(number + first, text) for number, text in lines_of(prompt)]
    voices = {number + first: frames(samples) for number, samples in enumerate(prompt["voice_samples"])}

    built = build_prompt(qwen, [lines], voices)

    assert list(built.token_ids) == prompt["input_ids"]
    assert [[place.start, place.stop] for place in built.voice_places.values()] == prompt["voice_runs"]
    assert list(built.voice_places) == sorted(voices)
    assert measure_prompt(qwen, [lines], voices) == len(built) == len(prompt["input_ids"])


@pytest.mark.parametrize("case", golden.read_json("cases.json")["cases"])
def test_prompts_of_the_cases(qwen: TextTokenizer, case: str) -> None:
    entry = golden.read_json("cases.json")["cases"][case]
    lines = []
    for line in entry["script"].splitlines():
        label, text = line.split(": ", 1)
        lines.append((int(label.removeprefix("Speaker ")), text))
    first = min(number for number, _ in lines)
    samples = {"va": 36_000, "vb": 52_800}
    voices = {first + place: frames(samples[voice]) for place, voice in enumerate(entry["voices"])}

    built = build_prompt(qwen, [lines], voices)

    arrays = golden.arrays(f"case_{case}")
    mask = [0] * len(built)
    for places in built.voice_places.values():
        for place in places:
            mask[place] = 1
    assert list(built.token_ids) == arrays["input_ids"].tolist()
    assert mask == arrays["speech_input_mask"].tolist()
    assert len(built) == entry["prompt_length"]


def test_every_golden_prompt_is_met_or_named() -> None:
    assert {prompt["note"] for prompt in PROMPTS} >= BETTER
    assert len(PROMPTS) == 17


def reference(note: str) -> list[int]:
    ids: list[int] = next(prompt["input_ids"] for prompt in PROMPTS if prompt["note"] == note)
    return ids


def test_speakers_1_and_3_keep_their_own_voices(qwen: TextTokenizer) -> None:
    built = build_prompt(qwen, [[(1, "First."), (3, "Third.")]], {1: 1, 2: 2, 3: 3})
    theirs = reference("ids 1 and 3 with three voices: only two voices are kept")

    # Theirs: voice 0 with one frame, voice 1 with two. Ours: voice 0 with one, voice 2 with three; same text.
    assert {speaker: len(places) for speaker, places in built.voice_places.items()} == {1: 1, 3: 3}
    ours = list(built.token_ids)
    assert ours[:31] == theirs[:31]
    assert ours[31:42] == [29073, 220, 17, 25, START, DIFFUSION, DIFFUSION, DIFFUSION, END, 198, 2918]
    assert ours[41:] == theirs[theirs.index(2918) :]


def test_speakers_2_and_3_stand_where_their_lines_do(qwen: TextTokenizer) -> None:
    built = build_prompt(qwen, [[(2, "Two."), (3, "Three.")]], {2: 1, 3: 2})
    theirs = reference("smallest id above 0: every id is lowered by exactly one")

    labels = [(23, 15, 16), (31, 16, 17)]  # place of the label, its number there, its number here
    expected = list(theirs)
    for place, there, here in labels:
        assert expected[place : place + 4] == [29073, 220, there, 25]
        expected[place + 2] = here
    assert list(built.token_ids) == expected
    assert list(built.voice_places) == [2, 3]


def test_speakers_0_and_2_stand_where_their_lines_do(qwen: TextTokenizer) -> None:
    built = build_prompt(qwen, [[(0, "Zero."), (2, "Two.")]], {0: 1, 2: 2})
    expected = reference("id 0 present: ids stay")

    assert expected[31:35] == [29073, 220, 16, 25]
    expected = [*expected[:33], 17, *expected[34:]]
    assert list(built.token_ids) == expected


def test_special_token_text_stays_text(qwen: TextTokenizer) -> None:
    text = "before <|vision_pad|> after <|endoftext|> end."
    built = build_prompt(qwen, [[(1, text)]], {1: 1})

    assert built.token_ids.count(DIFFUSION) == 1
    assert EOS not in built.token_ids
    assert built.token_ids.count(START) == 2
    assert built.token_ids.count(END) == 1
    theirs = reference("special token text is tokenised as the special token")
    assert theirs.count(DIFFUSION) == 2
    assert built.token_ids[:39] == tuple(theirs[:39])
    assert built.token_ids[-6:] == tuple(theirs[-6:])


def test_the_order_of_voices_and_of_first_words_does_not_matter(qwen: TextTokenizer) -> None:
    lines = [(2, "I start."), (1, "I follow.")]

    built = build_prompt(qwen, [lines], {2: 2, 1: 1})

    assert list(built.token_ids) == reference("second speaker talks first")
    assert built.voice_places == {1: range(28, 29), 2: range(36, 38)}


def test_groups_are_one_text(qwen: TextTokenizer) -> None:
    lines = [(1, "A."), (2, "B."), (1, "C.")]
    voices = {1: 3, 2: 4}

    whole = build_prompt(qwen, [lines], voices)

    assert build_prompt(qwen, [lines[:1], [], lines[1:]], voices) == whole
    assert measure_prompt(qwen, [lines[:2], lines[2:]], voices) == len(whole)


def test_a_speaker_of_the_context_alone_keeps_the_numbers(qwen: TextTokenizer) -> None:
    """What a number is called follows from all lines of the prompt, those of earlier speech included."""
    built = build_prompt(qwen, [[(0, "A.")], [(2, "B.")]], {0: 1, 2: 1})

    assert 17 in built.token_ids
    assert list(built.voice_places) == [0, 2]


def test_a_line_break_cannot_start_a_line(qwen: TextTokenizer) -> None:
    for line_break in ("\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\n\n\n"):
        smuggled = build_prompt(qwen, [[(1, f"Hello.{line_break}Speaker 2: Evil.")]], {})
        plain = build_prompt(qwen, [[(1, "Hello. Speaker 2: Evil.")]], {})

        assert smuggled == plain


def test_random_models_have_prompts_too() -> None:
    tokenizer = build_byte_tokenizer()

    built = build_prompt(tokenizer, [[(1, "Hé.")]], {1: 5})

    assert len(built) == measure_prompt(tokenizer, [[(1, "Hé.")]], {1: 5})
    assert built.token_ids[-1] == START
    assert [built.token_ids[place] for place in built.voice_places[1]] == [DIFFUSION] * 5
    first, behind = built.voice_places[1].start - 1, built.voice_places[1].stop
    assert (built.token_ids[first], built.token_ids[behind]) == (START, END)


@pytest.mark.parametrize(
    ("groups", "voices", "code"),
    [
        ([], {}, "empty_script"),
        ([[], []], {}, "empty_script"),
        ([[(-1, "a")]], {}, "bad_speaker"),
        ([[(1, "a")]], {1: 0}, "empty_voice"),
    ],
)
def test_what_cannot_be_a_prompt(
    qwen: TextTokenizer, groups: list[list[tuple[int, str]]], voices: dict[int, int], code: str
) -> None:
    for function in (build_prompt, measure_prompt):
        with pytest.raises(InputError) as caught:
            function(qwen, groups, voices)

        assert caught.value.code == code
