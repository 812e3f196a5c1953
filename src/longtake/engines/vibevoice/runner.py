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

Shape suffixes: B streams, F streams that speak a frame in this step, H hidden size, S steps of the solver, T samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from torch import Tensor

from longtake.core.errors import InvariantError
from longtake.engines.vibevoice import parts
from longtake.engines.vibevoice.feed import LATENTS, SEMANTICS, Feed
from longtake.engines.vibevoice.model import VibeVoiceModel
from longtake.engines.vibevoice.names import DIFFUSION, END, EOS, START
from longtake.engines.vibevoice.noise import FrameNoise
from longtake.engines.vibevoice.solver import SolverTable, sample, time_embeddings
from longtake.engines.vibevoice.tokens import Chooser
from longtake.engines.vibevoice.trace import Trace
from longtake.nn.kv import KVStore, Segment
from longtake.nn.streaming import Rows

# Frames after which the convolutions have forgotten everything: about 60 of the acoustic decoder, whose output the
# semantic encoder sees for another 60.
MEMORY_FRAMES = 136
REPLAY_FRAMES = 8  # at once


@dataclass(slots=True, eq=False)
class Stream:
    """A stream of speech in its places.

    | state | shape | |
    |---|---|---|
    | positive, negative | | rows of the KV store |
    | slot | | of both convolution states |
    | position, context | | tokens that count in the positive and in the negative row |
    | input_H | H | the embedding that the next step reads |
    | step, frame | | how many steps and frames of this passage are done |
    """

    positive: int
    negative: int
    slot: int
    chooser: Chooser
    noise: FrameNoise
    table: SolverTable
    guidance: float
    input_H: Tensor
    position: int = 0
    context: int = 0
    step: int = 0
    frame: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a step gave to one stream; tensors on the device.

    Attributes:
        hidden_H, logits_4: Of the positive branch; the order of the logits is that of `CONTROL_TOKENS`.
        frame: Only if the token is DIFFUSION.
        error: Why the stream cannot go on; it is to be closed, and the others never notice. The token is EOS then.
            FloatingPointError: its logits are not finite.
    """

    token: int
    hidden_H: Tensor
    logits_4: Tensor
    frame: Frame | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame of speech.

    Attributes:
        negative_H: Hidden state of the negative branch.
        latent_64: In scaled space, float32.
        vae_latent_64: As the acoustic decoder got it.
        wave_T: 3200 samples, nominally -1 … 1.
        semantic_128: Features of those samples.
    """

    negative_H: Tensor
    latent_64: Tensor
    vae_latent_64: Tensor
    wave_T: Tensor
    semantic_128: Tensor
    acoustic_H: Tensor
    semantic_H: Tensor


@dataclass(slots=True)
class _Draft:
    """A step in the making."""

    tokens: list[int]
    h_pos_BH: Tensor
    h_neg_BH: Tensor
    logits_B4: Tensor
    frames: dict[int, Frame] = field(default_factory=dict)
    errors: dict[int, Exception] = field(default_factory=dict)


class Runner:
    """The model, its KV store and its convolution states. One thread uses it.

    Args:
        slots: How many streams there may be at a time.
    """

    def __init__(self, model: VibeVoiceModel, slots: int) -> None:
        self.model = model
        decoder = model.config.decoder
        weight = model.language_model.embed_tokens.weight
        codec = next(model.acoustic_tokenizer.parameters()).dtype
        self.kv = KVStore(
            layers=decoder.num_hidden_layers,
            kv_heads=decoder.num_key_value_heads,
            head_dim=decoder.head_dim,
            dtype=weight.dtype,
            device=weight.device,
        )
        self._speaking = model.acoustic_tokenizer.decoder.init_state(slots, codec, weight.device)
        self._hearing = model.semantic_tokenizer.encoder.init_state(slots, codec, weight.device)
        self._free_slots = list(range(slots))[::-1]  # the lowest first: neighbours need no gathering
        self._times: dict[SolverTable, Tensor] = {}
        self.parts = parts.Parts(weight.device)
        self._device, self._dtype, self._codec_dtype = weight.device, weight.dtype, codec

    @property
    def free_slots(self) -> int:
        return len(self._free_slots)

    @property
    def state_bytes(self) -> int:
        """Of the convolution states of all slots."""
        return self._speaking.bytes + self._hearing.bytes

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
            last = torch.tensor([len(feed) - 1])
            stream = Stream(
                positive, negative, slot, chooser, noise, table, guidance, feed.embed(last)[0], step=steps, frame=frames
            )
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
        draft = self._decode(streams)
        self.parts.end(parts.LM)
        speaking = [b for b, token in enumerate(draft.tokens) if token == DIFFUSION]
        if speaking:
            self._speak(streams, speaking, draft)
        self._turn(streams, draft.tokens)
        return [
            Outcome(token, draft.h_pos_BH[b], draft.logits_B4[b], draft.frames.get(b), draft.errors.get(b))
            for b, token in enumerate(draft.tokens)
        ]

    def _decode(self, streams: Sequence[Stream]) -> _Draft:
        x_BH = torch.stack([stream.input_H for stream in streams])
        segments = [Segment(stream.positive, stream.position, 1) for stream in streams]
        segments += [Segment(stream.negative, stream.context, 1) for stream in streams]
        h_pos_BH, h_neg_BH = self.model.language_model(torch.cat((x_BH, x_BH)), segments, self.kv).chunk(2)
        logits_B4 = self.model.control_head(h_pos_BH)
        # Waits for the device, once in a step: whether the numbers are any is asked in the same breath.
        favourites, are_finite = torch.stack((logits_B4.argmax(-1), logits_B4.isfinite().all(-1).long())).tolist()
        draft = _Draft([], h_pos_BH, h_neg_BH, logits_B4)
        for b, stream in enumerate(streams):
            try:
                if not are_finite[b]:
                    raise FloatingPointError("the logits are not finite")
                draft.tokens.append(stream.chooser.choose(stream.step, favourites[b]))
            except Exception as error:  # of this stream alone: those beside it go on
                draft.errors[b] = error
                draft.tokens.append(EOS)
        return draft

    def _speak(self, streams: Sequence[Stream], speaking: list[int], draft: _Draft) -> None:
        model = self.model
        latent_F64 = self._diffuse(streams, speaking, draft)
        self.parts.end(parts.DIFFUSION)
        vae_F64 = latent_F64 / model.speech_scaling_factor.float() - model.speech_bias_factor.float()
        rows = self._rows(streams, speaking)
        codec = self._codec_dtype
        wave_F1T = model.acoustic_tokenizer.decoder.step(vae_F64[:, None].to(codec), self._speaking, rows)
        semantic_F128 = model.semantic_tokenizer.encoder.step(wave_F1T, self._hearing, rows)[:, 0]
        acoustic_FH = model.acoustic_connector(latent_F64.to(self._dtype))
        semantic_FH = model.semantic_connector(semantic_F128.to(self._dtype))
        input_FH = acoustic_FH + semantic_FH
        self.parts.end(parts.CODEC)
        for f, b in enumerate(speaking):
            streams[b].input_H = input_FH[f]
            draft.frames[b] = Frame(
                draft.h_neg_BH[b],
                latent_F64[f],
                vae_F64[f],
                wave_F1T[f, 0],
                semantic_F128[f],
                acoustic_FH[f],
                semantic_FH[f],
            )

    def _diffuse(self, streams: Sequence[Stream], speaking: list[int], draft: _Draft) -> Tensor:
        """Latents of all frames, (F, 64) float32: streams with the same table go through the head together."""
        latent_F64 = torch.empty(len(speaking), 64, device=self._device)
        for table in {streams[b].table for b in speaking}:
            group = [(f, b) for f, b in enumerate(speaking) if streams[b].table is table]
            places = [b for _, b in group]
            noise = [streams[b].noise.draw(streams[b].frame) for b in places]
            step_noise = [each for _, each in noise if each is not None]
            latent_F64[[f for f, _ in group]] = sample(
                self.model.prediction_head,
                table,
                draft.h_pos_BH[places],
                draft.h_neg_BH[places],
                torch.stack([each for each, _ in noise]).to(self._device),
                torch.tensor([streams[b].guidance for b in places], device=self._device),
                torch.stack(step_noise).to(self._device) if step_noise else None,
                self._time_embeddings(table),
            )
        return latent_F64

    def _turn(self, streams: Sequence[Stream], tokens: list[int]) -> None:
        """What each token does to its stream's places, beside the frame itself."""
        table = self.model.language_model.embed_tokens.weight
        ended = []
        for b, (stream, token) in enumerate(zip(streams, tokens, strict=True)):
            stream.position += 1
            stream.step += 1
            if token == DIFFUSION:
                stream.context += 1
                stream.frame += 1
                continue
            stream.input_H = table[token]
            if token == START:
                stream.context = 0
            elif token == END:
                ended.append(b)
        if ended:
            rows = self._rows(streams, ended)
            self._speaking.reset(rows)
            self._hearing.reset(rows)

    def _time_embeddings(self, table: SolverTable) -> Tensor:
        """Made once for each number of steps, of which there are a hundred."""
        if table not in self._times:
            self._times[table] = time_embeddings(self.model.prediction_head, table)
        return self._times[table]

    def _rows(self, streams: Sequence[Stream], which: list[int]) -> Rows:
        slots = [streams[b].slot for b in which]
        if slots == list(range(slots[0], slots[0] + len(slots))):
            return slice(slots[0], slots[0] + len(slots))
        return torch.tensor(slots, device=self._device)

    @torch.inference_mode()
    def _replay(self, slot: int, past: Trace) -> None:
        """Bring the convolutions of a slot to where they stood behind the past."""
        rows = slice(slot, slot + 1)
        self._speaking.reset(rows)
        self._hearing.reset(rows)
        since_end = len(past.tokens) - (past.tokens[::-1].index(END) if END in past.tokens else len(past.tokens))
        count = min(MEMORY_FRAMES, past.tokens[since_end:].count(DIFFUSION))
        features_F192 = torch.from_numpy(past.features_F192[past.frames - count :]).to(self._device)
        model = self.model
        for some_F192 in torch.split(features_F192, REPLAY_FRAMES) if count else ():
            vae_F64 = some_F192[:, LATENTS] / model.speech_scaling_factor.float() - model.speech_bias_factor.float()
            wave_11T = model.acoustic_tokenizer.decoder.step(vae_F64[None].to(self._codec_dtype), self._speaking, rows)
            model.semantic_tokenizer.encoder.step(wave_11T, self._hearing, rows)


def features_of(frame: Frame) -> Tensor:
    """What the trace keeps of a frame: (192,) float32, on the CPU."""
    features_192 = torch.empty(192)
    features_192[LATENTS] = frame.latent_64.float().cpu()
    features_192[SEMANTICS] = frame.semantic_128.float().cpu()
    return features_192
