"""One step of the model for many streams of speech at once. Knows no request, no text and no job.

A step, after the reference at batch 1 (golden README, "Behaviour these cases pin down"):

    decoder      one embedding of each stream, as two rows of one forward: positive and negative branch
    control head four logits → START, END, DIFFUSION or EOS
    DIFFUSION    guided diffusion → latent → acoustic decoder → 3200 samples → semantic encoder; the next embedding is
                 the sum of both connectors
    END          the state of both convolution stacks is zeroed
    START        the negative branch begins anew at position 0

The negative branch counts only at frame steps. Since it reads what the positive one reads, both run together before the
token is known; at any other token its length stays, and the next step overwrites what was written.

The host waits for the device once in a step, for the tokens. What became of a frame it reads when it asks for it.

Shape suffixes: B streams, S steps of the solver.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch

from longtake.core.errors import InvariantError
from longtake.engines.vibevoice.decoding import parts
from longtake.engines.vibevoice.decoding.eager import Eager, Teller
from longtake.engines.vibevoice.decoding.feed import LATENTS, Feed
from longtake.engines.vibevoice.decoding.noise import FrameNoise
from longtake.engines.vibevoice.decoding.solver import SolverTable
from longtake.engines.vibevoice.decoding.stages import Stages
from longtake.engines.vibevoice.decoding.streams import Frame, Outcome, Place, Stream
from longtake.engines.vibevoice.decoding.tokens import Chooser
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.network.names import DIFFUSION, END, EOS, START
from longtake.engines.vibevoice.trace import Trace
from longtake.nn.kv import KVStore, Segment

# Frames after which the convolutions have forgotten everything: about 60 of the acoustic decoder, whose output the
# semantic encoder sees for another 60.
MEMORY_FRAMES = 136
REPLAY_FRAMES = 8  # at once


class Runner:
    """The model, its KV store and its places for streams. One thread uses it.

    Args:
        slots: How many streams there may be at a time.
        has_int8_kv: Keys and values are kept in int8, not in the type of the model.

    Attributes:
        teller: How a step is told to the device; to be set before the first stream is opened.
        is_ahead: The device works on behind the step: who reads a frame behind the next token waits for nothing.
    """

    def __init__(self, model: VibeVoiceModel, slots: int, *, has_int8_kv: bool = False) -> None:
        decoder = model.config.decoder
        self.model = model
        self.kv = KVStore(
            layers=decoder.num_hidden_layers,
            kv_heads=decoder.num_key_value_heads,
            head_dim=decoder.head_dim,
            dtype=torch.int8 if has_int8_kv else model.dtype,
            device=model.device,
        )
        self.stages = Stages(model, slots)
        self.teller: Teller = Eager(self.stages, self.kv)
        self.is_ahead = model.device.type == "cuda"
        self._board = self.stages.board
        self.parts = parts.Parts(model.device)
        self._free_slots = list(range(slots))[::-1]  # the lowest first: neighbours need no gathering

    @property
    def free_slots(self) -> int:
        return len(self._free_slots)

    @property
    def state_bytes(self) -> int:
        """Of the board and the convolution states of all slots."""
        return self.stages.bytes

    def open(
        self,
        feed: Feed,
        *,
        chooser: Chooser,
        noise: FrameNoise,
        table: SolverTable,
        guidance: float,
        capacity: int,
        context: int,
        past: Trace,
        steps: int = 0,
        frames: int = 0,
    ) -> Stream:
        """Places for a stream; `read` fills them with what the feed holds, all but the last embedding.

        Args:
            capacity: Positions of the positive row.
            context: Positions of the negative row.
            past: The steps that the feed holds behind the prompt, from which the convolutions take their state.
            steps, frames: How many of them are of this passage.

        Raises:
            InvariantError: The rows have no room for what the feed holds.
            RuntimeError: The device failed or has no room. As with any error, nothing is held then.
        """
        if capacity < len(feed) or context <= len(feed.negative):
            raise InvariantError(
                f"Rows of {capacity} and {context} positions cannot hold a feed of {len(feed)} and {len(feed.negative)}"
                " and a step."
            )
        with ExitStack() as undo:
            slot = self._free_slots.pop()
            undo.callback(self._free_slots.append, slot)
            positive = self.kv.open_row(capacity)
            undo.callback(self.kv.close_row, positive)
            negative = self.kv.open_row(context)
            undo.callback(self.kv.close_row, negative)
            stream = Stream(positive, negative, slot, chooser, noise, table, step=steps, frame=frames)
            self._board.write_input(slot, feed.embed(torch.tensor([len(feed) - 1]))[0])
            self._board.guidance_S[slot].fill_(guidance)
            self._replay(slot, past)
            undo.pop_all()
        return stream

    def close(self, stream: Stream) -> None:
        """Free the places."""
        self.kv.close_row(stream.positive)
        self.kv.close_row(stream.negative)
        self._free_slots.append(stream.slot)

    @torch.inference_mode()
    def read(self, stream: Stream, feed: Feed, count: int) -> int:
        """Let the decoder read at most ``count`` embeddings of the feed; gives how many there are left to read."""
        self.parts.begin()
        left = self._read(stream, feed, count)
        self.parts.end(parts.PREFILL)
        return left

    def _read(self, stream: Stream, feed: Feed, count: int) -> int:
        left = len(feed) - 1 - stream.position
        if left:
            count = min(count, left)
            places = torch.arange(stream.position, stream.position + count)
            self.model.language_model(feed.embed(places), [Segment(stream.positive, stream.position, count)], self.kv)
            stream.position += count
            return left - count + len(feed.negative) - stream.context
        places = torch.tensor(feed.negative[stream.context : stream.context + count])
        if len(places):
            self.model.language_model(
                feed.embed(places), [Segment(stream.negative, stream.context, len(places))], self.kv
            )
            stream.context += len(places)
        return len(feed.negative) - stream.context

    @torch.inference_mode()
    def step(self, streams: Sequence[Stream]) -> list[Outcome]:
        """One step of each stream; every outcome depends on its stream alone."""
        self.parts.begin()
        segments = [stream.segments for stream in streams]
        self.teller.decode(
            [stream.slot for stream in streams],
            [positive for positive, _ in segments] + [negative for _, negative in segments],
        )
        outcomes = self._choose(streams)
        self.parts.end(parts.LM)
        speaking = [b for b, outcome in enumerate(outcomes) if outcome.token == DIFFUSION]
        if speaking:
            for b, frame in zip(speaking, self._speak([streams[b] for b in speaking]), strict=True):
                outcomes[b] = Outcome(DIFFUSION, outcomes[b].place, frame)
        for stream, outcome in zip(streams, outcomes, strict=True):
            self._turn(stream, outcome.token)
        return outcomes

    def _choose(self, streams: Sequence[Stream]) -> list[Outcome]:
        # Waits for the device, once in a step: whether the numbers are any is asked in the same breath.
        verdicts = self._board.verdicts.fetch().wait()[0].tolist()
        outcomes = []
        for stream in streams:
            place = Place(self._board, stream.slot)
            favourite, is_finite = verdicts[stream.slot]
            try:
                if not is_finite:
                    raise FloatingPointError("the logits are not finite")
                outcomes.append(Outcome(stream.chooser.choose(stream.step, favourite), place))
            except Exception as error:  # of this stream alone: those beside it go on
                outcomes.append(Outcome(EOS, place, error=error))
        return outcomes

    def _speak(self, streams: Sequence[Stream]) -> list[Frame]:
        """A frame of each; streams with the same table go through the diffusion together."""
        by_table: dict[SolverTable, list[Stream]] = {}
        for stream in streams:
            by_table.setdefault(stream.table, []).append(stream)
        for table, group in by_table.items():
            drawn = [stream.noise.draw(stream.frame) for stream in group]
            step_noise = [each for _, each in drawn if each is not None]
            self.teller.diffuse(
                [stream.slot for stream in group],
                table,
                torch.stack([each for each, _ in drawn]),
                torch.stack(step_noise) if step_noise else None,
            )
        self.parts.end(parts.DIFFUSION)
        self.teller.code([stream.slot for stream in streams])
        self.parts.end(parts.CODEC)
        fetched = self._board.frames.fetch()
        return [Frame(fetched, stream.slot) for stream in streams]

    def _turn(self, stream: Stream, token: int) -> None:
        """What the token does to its stream's places, beside the frame itself."""
        stream.position += 1
        stream.step += 1
        if token == DIFFUSION:
            stream.context += 1
            stream.frame += 1
            return
        self._board.write_token(stream.slot, token)
        if token == START:
            stream.context = 0
        elif token == END:
            self.stages.reset(stream.slot)

    @torch.inference_mode()
    def _replay(self, slot: int, past: Trace) -> None:
        """Bring the convolutions of a slot to where they stood behind the past."""
        self.stages.reset(slot)
        since_end = len(past.tokens) - (past.tokens[::-1].index(END) if END in past.tokens else len(past.tokens))
        count = min(MEMORY_FRAMES, past.tokens[since_end:].count(DIFFUSION))
        features_F192 = torch.from_numpy(past.features_F192[past.frames - count :]).to(self.model.device)
        for some_F192 in torch.split(features_F192, REPLAY_FRAMES) if count else ():
            self.stages.replay(slot, some_F192[:, LATENTS])
