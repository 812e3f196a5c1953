"""Makes tests/golden/vibevoice_tokenizer/tokenizer.json: Qwen's vocabulary, cut down to what the tests' texts need.

    python tests/golden/make_tokenizer.py qwen.tiktoken

A byte-pair encoder joins, again and again, the pair whose joined token has the lowest id. For a fixed set of texts only
the joins that really happen matter: an encoder that has these and no others takes the same choices, because the lowest
of all candidates is always among the ones it has. So the small file gives exactly the ids of the whole vocabulary for
these texts, and for any other text it gives some ids that decode to it.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

from longtake.engines.vibevoice.prompting.tokenizer import build_byte_tokenizer, byte_ids

GOLDEN = Path(__file__).parent
ADDED = (
    *("endoftext", "im_start", "im_end", "object_ref_start", "object_ref_end", "box_start", "box_end", "quad_start"),
    *("quad_end", "vision_start", "vision_end", "vision_pad", "image_pad", "video_pad"),
)
MORE = (
    " Speaker 0: The quick brown fox jumps over the lazy dog; nobody's watching, they've all gone.\n",
    " Speaker 3: Über die Straße, é and e\u0301, naïve café.\n",
    "".join(f" Speaker {number}:" for number in range(10)),
    "".join(f"<|{name}|>" for name in ADDED) + "<tool_call></tool_call>",
    "".join(f" say <|{name}|> now" for name in ADDED),
)


def texts() -> list[str]:
    """Everything that must come out with Qwen's ids."""
    sections = [
        " Transform the text provided by various speakers into speech output, utilizing the distinct voice of each "
        "respective speaker.\n",
        " Voice input:\n",
        " Text input:\n",
        " Speech output:\n",
        "\n",
    ]
    prompts = json.loads((GOLDEN / "vibevoice" / "prompts.json").read_text(encoding="utf-8"))
    lines = [f" Speaker {number}:{text}\n" for prompt in prompts for number, text in prompt["parsed"]]
    for case in json.loads((GOLDEN / "vibevoice" / "cases.json").read_text(encoding="utf-8"))["cases"].values():
        lines += [f" {line}\n" for line in case["script"].splitlines()]
        lines += [
            f" {line}\n".replace("Speaker 1", "Speaker 0").replace("Speaker 2", "Speaker 1") for line in lines[-2:]
        ]
    return [*sections, *lines, *MORE]


def read_ranks(file: Path) -> dict[bytes, int]:
    return {
        base64.b64decode(token): int(rank)
        for token, rank in (line.split() for line in file.read_bytes().splitlines() if line)
    }


def joins(word: bytes, ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The pairs that are joined on the way from single bytes to the tokens of the word."""
    parts = [word[place : place + 1] for place in range(len(word))]
    done = []
    while len(parts) > 1:
        rank, place = min((ranks.get(parts[i] + parts[i + 1], len(ranks)), i) for i in range(len(parts) - 1))
        if rank == len(ranks):
            break
        done.append((parts[place], parts[place + 1]))
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return done


def main(file: Path) -> None:
    ranks = read_ranks(file)
    letters = byte_ids()
    byte_of = {letter: byte for byte, letter in _letter_of_byte().items()}
    assert all(ranks[bytes([byte_of[letter]])] == number for letter, number in letters.items())
    splitter = build_byte_tokenizer()._encoder
    words = set()
    for text in texts():
        normal = splitter.normalizer.normalize_str(text)
        words |= {word for word, _ in splitter.pre_tokenizer.pre_tokenize_str(normal)}
    pairs = {pair for word in words for pair in joins(bytes(byte_of[letter] for letter in word), ranks)}
    letter = _letter_of_byte()

    def spell(token: bytes) -> str:
        return "".join(letter[byte] for byte in token)

    ordered = sorted(pairs, key=lambda pair: (ranks[pair[0] + pair[1]], pair))
    vocabulary = letters | {spell(a + b): ranks[a + b] for a, b in ordered}
    small = json.loads(splitter.to_str())
    small["model"]["vocab"] = vocabulary
    small["model"]["merges"] = [[spell(a), spell(b)] for a, b in ordered]
    small["added_tokens"] = [_added(151643 + place, f"<|{name}|>", True) for place, name in enumerate(ADDED)]
    small["added_tokens"] += [_added(151657, "<tool_call>", False), _added(151658, "</tool_call>", False)]
    target = GOLDEN / "vibevoice_tokenizer" / "tokenizer.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(small, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{target}: {len(vocabulary)} tokens, {len(ordered)} merges, {target.stat().st_size} bytes")


def _letter_of_byte() -> dict[int, str]:
    letters = {byte: chr(byte) for byte in (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))}
    others = [byte for byte in range(256) if byte not in letters]
    return letters | {byte: chr(256 + place) for place, byte in enumerate(others)}


def _added(number: int, content: str, special: bool) -> dict[str, object]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": number, "content": content, **flags, "special": special}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
