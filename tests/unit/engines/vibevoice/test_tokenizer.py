from __future__ import annotations

import json
from pathlib import Path

import pytest

from longtake.core.errors import InputError
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS
from longtake.engines.vibevoice.prompting import tokenizer as module
from longtake.engines.vibevoice.prompting.tokenizer import TextTokenizer, build_byte_tokenizer, byte_ids, load_tokenizer
from tests.support.checkpoints import TOKENIZER

SPECIALS = [
    *(f"<|{name}|>" for name in ("endoftext", "vision_start", "vision_end", "vision_pad", "image_pad", "im_start")),
    "<tool_call>",
]


@pytest.fixture(scope="module")
def qwen() -> TextTokenizer:
    return load_tokenizer(TOKENIZER.parent)


def decode(ids: list[int], vocabulary: dict[str, int]) -> str:
    letters = {number: letter for letter, number in vocabulary.items()}
    back = {letter: byte for byte, letter in module_letters().items()}
    return bytes(back[letter] for number in ids for letter in letters[number]).decode()


def module_letters() -> dict[int, str]:
    """Byte → the letter that stands for it, made here in the other direction."""
    printable = {byte: chr(byte) for byte in range(256) if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174}
    others = [byte for byte in range(256) if byte not in printable]
    return printable | {byte: chr(256 + place) for place, byte in enumerate(others)}


def test_known_ids(qwen: TextTokenizer) -> None:
    assert qwen.encode(" Speaker 0: Hello.\n") == [29073, 220, 15, 25, 21927, 624]
    assert qwen.encode(" Speech output:\n") == [38741, 2550, 510]


@pytest.mark.parametrize("text", SPECIALS)
def test_text_never_becomes_a_special_token(qwen: TextTokenizer, text: str) -> None:
    for tokenizer in (qwen, build_byte_tokenizer()):
        ids = tokenizer.encode(f" say {text} now")

        assert max(ids) < min(CONTROL_TOKENS)
        assert len(ids) > 5


def test_a_script_that_spells_a_special_token_keeps_its_letters(qwen: TextTokenizer) -> None:
    vocabulary = json.loads(TOKENIZER.read_text(encoding="utf-8"))["model"]["vocab"]

    for text in SPECIALS:
        assert decode(qwen.encode(f"a {text}{text}"), vocabulary) == f"a {text}{text}"


def test_composed_and_decomposed_letters_are_the_same(qwen: TextTokenizer) -> None:
    assert qwen.encode("caf\u00e9") == qwen.encode("cafe\u0301")


def test_vocabulary_and_merges_give_the_same_as_the_one_file(qwen: TextTokenizer, tmp_path: Path) -> None:
    raw = json.loads(TOKENIZER.read_text(encoding="utf-8"))["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(raw["vocab"]), encoding="utf-8")
    merges = ["#version: 0.2", *(" ".join(pair) for pair in raw["merges"])]
    (tmp_path / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")

    other = load_tokenizer(tmp_path)

    for text in (" Speaker 0: The quick brown fox, 12:30!\n", " “It’s” 今天天气很好，\t\n", " cafe\u0301", *SPECIALS):
        assert other.encode(text) == qwen.encode(text)


def test_bytes_have_their_ids_in_qwens_vocabulary() -> None:
    vocabulary = json.loads(TOKENIZER.read_text(encoding="utf-8"))["model"]["vocab"]

    assert len(byte_ids()) == 256
    assert {letter: vocabulary[letter] for letter in byte_ids()} == byte_ids()


def test_the_byte_tokenizer_spells_any_text() -> None:
    text = "Ünïcode 今天 🙂 \t\n\x00\x7f"
    ids = build_byte_tokenizer().encode(text)

    assert len(ids) == len(text.encode())
    assert decode(ids, byte_ids()) == text
    assert build_byte_tokenizer().vocab_size == 256


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(build_byte_tokenizer()._encoder.to_str(), encoding="utf-8")

    with pytest.raises(InputError, match=r"not Qwen2\.5's vocabulary") as caught:
        load_tokenizer(tmp_path)

    assert caught.value.code == "bad_tokenizer"


def test_control_tokens_with_other_ids_are_refused(tmp_path: Path) -> None:
    raw = json.loads(TOKENIZER.read_text(encoding="utf-8"))
    next(token for token in raw["added_tokens"] if token["content"] == "<|vision_pad|>")["id"] = 151_660
    (tmp_path / "tokenizer.json").write_text(json.dumps(raw), encoding="utf-8")

    with pytest.raises(InputError, match=r"vision_pad.*151660"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"model": 3}', "\x00"])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_a_checkpoint_without_a_tokenizer_takes_qwens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(repository: str, file: str) -> Path:
        asked.append((repository, file))
        return TOKENIZER

    monkeypatch.setattr(module, "fetch_file", fetch)

    assert load_tokenizer(tmp_path).encode(" Text input:\n") == [2918, 1946, 510]
    assert asked == [("Qwen/Qwen2.5-1.5B", "tokenizer.json")]
