"""The prompt: what the model reads before it speaks. Knows tokens and places, no tensor and no voice.

One flat list of tokens, section by section, each tokenized on its own as the reference does (processor of
vibevoice-community/VibeVoice, b9d5612):

    system        " Transform the text provided by various speakers into speech output, …\\n"
    voices        " Voice input:\\n", then for each voice " Speaker 0:" START DIFFUSION × frames END "\\n"
    text          " Text input:\\n", then for each line " Speaker 0: …\\n"
    output        " Speech output:\\n" START

The embeddings of a voice's frames take the places of its DIFFUSION tokens.

Numbers in the prompt start at 0. As in the reference, every number is lowered by one if no speaker is 0, and only by
one: speakers 2 and 3 become 1 and 2. Where the reference is known to go wrong we do the right thing instead:

* A voice stands under the number that its lines have. The reference counts voices from 0, so that with speakers 2 and 3
  the first voice stands under 0, the second under 1, and Speaker 2 speaks with the second one.
* A speaker's voice is never dropped. The reference keeps as many voices as there are different numbers, the first ones:
  of speakers 1 and 3 it loses voice 3.
* A line break inside a text is a space: what follows it must not pass for the label of another line.
* Text never becomes a control token (see `tokenizer`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from longtake.core.errors import InputError
from longtake.engines.vibevoice.network.names import DIFFUSION, END, START
from longtake.engines.vibevoice.prompting.tokenizer import TextTokenizer

SpokenLine = tuple[int, str]
"""Number of the speaker, and what is said."""

_SYSTEM = (
    " Transform the text provided by various speakers into speech output, utilizing the distinct voice of each "
    "respective speaker.\n"
)
_VOICES = " Voice input:\n"
_TEXT = " Text input:\n"
_OUTPUT = " Speech output:\n"
_LINE_BREAKS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, ready to be embedded.

    Attributes:
        token_ids: All of it; the last one is START.
        voice_places: Speaker number (as the caller counts) → the places of that voice's frames.
    """

    token_ids: tuple[int, ...]
    voice_places: Mapping[int, range]

    def __len__(self) -> int:
        return len(self.token_ids)


def build_prompt(tokenizer: TextTokenizer, groups: Sequence[Sequence[SpokenLine]], voices: Mapping[int, int]) -> Prompt:
    """The prompt for the lines of all groups, one after the other, as one text.

    A passage that goes on where speech exists already gives the lines of that speech as the first group and its own as
    the second; the frames of the old speech are then fed behind the prompt.

    Args:
        groups: Lines in the order in which they are spoken. An empty text is allowed; no line at all is not.
        voices: Speaker number → frames of the voice, at least 1. A speaker may be without a voice: the model makes one
            up. The voice of a number that says nothing is left out, for it would only take space.

    Raises:
        InputError: No lines, a negative speaker number, or a voice without frames.
    """
    ids: list[int] = []
    places: dict[int, range] = {}
    for piece in _pieces(groups, voices):
        if isinstance(piece, str):
            ids += tokenizer.encode(piece)
        else:
            speaker, frames = piece
            ids.append(START)
            places[speaker] = range(len(ids), len(ids) + frames)
            ids += [DIFFUSION] * frames
            ids.append(END)
    ids.append(START)
    return Prompt(tuple(ids), places)


def measure_prompt(tokenizer: TextTokenizer, groups: Sequence[Sequence[SpokenLine]], voices: Mapping[int, int]) -> int:
    """The number of tokens that `build_prompt` would give, without making it. Raises as `build_prompt` does."""
    return 1 + sum(
        len(tokenizer.encode(piece)) if isinstance(piece, str) else piece[1] + 2 for piece in _pieces(groups, voices)
    )


def _pieces(groups: Sequence[Sequence[SpokenLine]], voices: Mapping[int, int]) -> Iterator[str | tuple[int, int]]:
    """Texts to be tokenized one by one, and (speaker number, frames) where a voice stands; without the last START."""
    lines = [line for group in groups for line in group]
    _check(lines, voices)
    speaking = {speaker for speaker, _ in lines}
    lowered = 0 if 0 in speaking else 1
    heard = sorted(speaking & voices.keys())
    yield _SYSTEM
    if heard:
        yield _VOICES
    for speaker in heard:
        yield f" Speaker {speaker - lowered}:"
        yield speaker, voices[speaker]
        yield "\n"
    yield _TEXT
    for speaker, text in lines:
        yield f" Speaker {speaker - lowered}: {_LINE_BREAKS.sub(' ', text).strip()}\n"
    yield _OUTPUT


def _check(lines: Sequence[SpokenLine], voices: Mapping[int, int]) -> None:
    if not lines:
        raise InputError("There is nothing to say: the passage has no lines.", code="empty_script", param="input")
    if (lowest := min(speaker for speaker, _ in lines)) < 0:
        raise InputError(f"Speaker {lowest} is not a number from 0.", code="bad_speaker", param="input")
    for speaker, frames in voices.items():
        if frames < 1:
            raise InputError(f"The voice of speaker {speaker} is empty.", code="empty_voice", param="voice")
