"""Text to token ids: Qwen2.5's byte-pair encoding, or plain bytes for a model with random weights. Knows no prompt.

Text never becomes a control token, whatever it spells: the encoder here has no added tokens at all, so
``<|vision_pad|>`` in a script is thirteen characters like any others. (The reference tokenizes it as the control token,
and with it a script can end the speech or smuggle in voice places.)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from longtake.core.errors import InputError
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS, DIFFUSION, END, EOS, START
from longtake.engines.vibevoice.weights.hub import fetch_file

DEFAULT_REPOSITORY = "Qwen/Qwen2.5-1.5B"
"""Whose tokenizer is taken when a checkpoint brings none; the released VibeVoice repositories bring none."""

_CONTROLS = {"<|endoftext|>": EOS, "<|vision_start|>": START, "<|vision_end|>": END, "<|vision_pad|>": DIFFUSION}
# Pre-tokenization of Qwen2: digits one by one, a space goes with the word behind it.
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_PROBE = (" Text input:\n", [2918, 1946, 510])  # as the reference tokenizes it


class TextTokenizer:
    """Encodes text; thread-safe.

    Attributes:
        vocab_size: One more than the highest id that text can become.
    """

    def __init__(self, encoder: Tokenizer) -> None:
        self._encoder = encoder
        self.vocab_size = 1 + max(encoder.get_vocab(with_added_tokens=False).values())

    def encode(self, text: str) -> list[int]:
        """Token ids of the text, none of them a control token; nothing is put before or behind them."""
        ids: list[int] = self._encoder.encode(text, add_special_tokens=False).ids
        return ids


def load_tokenizer(folder: Path) -> TextTokenizer:
    """The tokenizer of that checkpoint: its ``tokenizer.json``, its ``vocab.json`` and ``merges.txt``, or else
    `DEFAULT_REPOSITORY`'s from the hub.

    Raises:
        InputError: The files are damaged, are not Qwen2.5's vocabulary (code ``bad_tokenizer``), or cannot be fetched.
    """
    path = folder / "tokenizer.json"
    if path.is_file():
        return _checked(_from_json(path), path)
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        return _checked(_from_vocabulary(folder / "vocab.json", folder / "merges.txt"), folder / "vocab.json")
    path = fetch_file(DEFAULT_REPOSITORY, "tokenizer.json")
    return _checked(_from_json(path), path)


def build_byte_tokenizer() -> TextTokenizer:
    """Every byte is one token, with the ids 0 to 255 that Qwen2.5 gives to single bytes. Needs no download."""
    return TextTokenizer(_byte_level(models.BPE(vocab=byte_ids(), merges=[])))


def byte_ids() -> dict[str, int]:
    """The letter that stands for a byte in a byte-level vocabulary → its id: printable bytes first, then the rest."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]
    return {letter: place for place, letter in enumerate(letters)}


def _from_json(path: Path) -> Tokenizer:
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        added = {token["content"]: token["id"] for token in raw.get("added_tokens") or ()}
        raw["added_tokens"] = []
        raw["post_processor"] = None  # some carry a template that names the added tokens; we want bare text
        encoder = Tokenizer.from_str(json.dumps(raw))
    except Exception as error:  # tokenizers raises bare Exceptions
        raise _bad(path, f"cannot be read ({error})") from error
    wrong = {name: added[name] for name, token in _CONTROLS.items() if added.get(name, token) != token}
    if wrong:
        raise _bad(path, f"gives the control tokens other ids than VibeVoice has: {wrong} instead of {_CONTROLS}")
    return encoder


def _from_vocabulary(vocabulary: Path, merges: Path) -> Tokenizer:
    try:
        bpe = models.BPE.from_file(str(vocabulary), str(merges))
    except Exception as error:  # tokenizers raises bare Exceptions
        raise _bad(vocabulary, f"and {merges.name} cannot be read ({error})") from error
    return _byte_level(bpe)


def _byte_level(model: models.BPE) -> Tokenizer:
    encoder = Tokenizer(model)
    encoder.normalizer = normalizers.NFC()
    encoder.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    encoder.decoder = decoders.ByteLevel()
    return encoder


def _checked(encoder: Tokenizer, path: Path) -> TextTokenizer:
    tokenizer = TextTokenizer(encoder)
    text, ids = _PROBE
    found = tokenizer.encode(text)
    if found != ids:
        raise _bad(path, f"is not Qwen2.5's vocabulary: {text!r} became {found} instead of {ids}")
    if tokenizer.vocab_size > min(CONTROL_TOKENS):
        raise _bad(
            path, f"has text tokens up to {tokenizer.vocab_size - 1}; from {min(CONTROL_TOKENS)} they are controls"
        )
    return tokenizer


def _bad(path: Path, what: str) -> InputError:
    return InputError(
        f"The tokenizer {path} {what}. Fetch the checkpoint again, or remove it to have {DEFAULT_REPOSITORY}'s.",
        code="bad_tokenizer",
        param="model",
    )
