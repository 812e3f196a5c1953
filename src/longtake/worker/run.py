"""One claimed job inside the loop: which passages are still to be spoken, and the chunks of those being spoken."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from longtake.core.units import SAMPLE_RATE_HZ
from longtake.engines.base import Chunk, Ended, SpeakRequest
from longtake.jobs.records import Claim
from longtake.worker.recorder import Recorder, Spoken

# A stretch is committed when it is this long in audio, or this old on the clock: no more than that is ever lost, and a
# listener to a slow machine hears every second what there is.
STRETCH_AUDIO_S = 10.0
STRETCH_AGE_S = 1.0


@dataclass(slots=True)
class _Speaking:
    """A request given out, and what the engine has said of it since the last stretch."""

    request: SpeakRequest
    number: int  # of the next stretch
    begun_at: float = 0.0
    samples: int = 0
    chunks: list[Chunk] = field(default_factory=list)


class JobRun:
    """Belongs to the loop's thread; only `recorder` lives in another."""

    def __init__(self, claim: Claim, recorder: Recorder, *, past_passages: int = 0) -> None:
        """
        Args:
            past_passages: How many passages before one its request brings along (`EngineInfo.past_passages`).
        """
        self.claim = claim
        self.recorder = recorder
        self._past_passages = past_passages
        whole = {index for index, passage in claim.spoken.items() if passage.is_whole}
        self._to_speak = deque(p.index for p in claim.passages if p.index not in whole)
        self._speaking: dict[str, _Speaking] = {}
        self.waits_since_s: float | None = None  # nothing of it is being spoken, though something could
        self.waits_for_memory = False  # and has done so for a while
        self.told: str | None = None  # to its user, of that

    @property
    def is_suspect(self) -> bool:
        """Its worker died, and it has not got on since: it is watched alone."""
        return self.claim.job.crashes > 0 and not self.recorder.has_committed

    def next_request(self) -> SpeakRequest | None:
        """The next passage as a request; None when all are spoken or being spoken, or it must wait for those before it.

        Raises:
            WorkerError: What was spoken before cannot be read.
        """
        self._to_speak.extendleft(reversed(self.recorder.take_damaged()))
        if not self._to_speak or not self._is_past_spoken(self._to_speak[0]):
            return None
        index = self._to_speak.popleft()
        spoken = self.recorder.spoken(index)
        spec, passage = self.claim.job.spec, self.claim.passages[index]
        request = SpeakRequest(
            id=f"{self.claim.job.id}/{self.claim.token}/{index}",
            passage=passage,
            voices={line.speaker: spec.voices[line.speaker] for line in passage.lines},
            speed=spec.speed,
            expected_s=max(0.0, self.claim.expected_s[index] - passage.silence_before_s),
            seed=passage_seed(self.claim.seeds.get(index, spec.seed), index),
            settings=spec.settings,
            trace=self.recorder.trace(index),
            past=tuple((self.claim.passages[i], self.recorder.trace(i)) for i in self._past_of(index)),
        )
        self._speaking[request.id] = _Speaking(request, len(spoken.stretches) if spoken else 0)
        return request

    def request(self, request_id: str) -> SpeakRequest:
        return self._speaking[request_id].request

    def take(self, chunk: Chunk, now_s: float) -> None:
        speaking = self._speaking[chunk.request_id]
        if not speaking.chunks:
            speaking.begun_at = now_s
        speaking.chunks.append(chunk)
        speaking.samples += chunk.pcm_T.size

    def due(self, now_s: float) -> list[str]:
        """Requests of which a stretch should be committed now."""
        return [
            request_id
            for request_id, speaking in self._speaking.items()
            if speaking.samples >= STRETCH_AUDIO_S * SAMPLE_RATE_HZ
            or (speaking.chunks and now_s - speaking.begun_at >= STRETCH_AGE_S)
        ]

    def unheard(self) -> list[str]:
        """Requests that have spoken since their last stretch."""
        return [request_id for request_id, speaking in self._speaking.items() if speaking.chunks]

    def cut(self, request_id: str, trace: bytes) -> None:
        """Hand a stretch to the recorder: all that was taken since the last one."""
        speaking = self._speaking[request_id]
        self.recorder.offer(
            Spoken(
                speaking.request.passage.index, _join(speaking.chunks), (), speaking.number, is_last=False, trace=trace
            )
        )
        self._speaking[request_id] = _Speaking(speaking.request, speaking.number + 1)

    def end(self, ended: Ended, *, is_cached: bool = False) -> None:
        """A passage is spoken to its end.

        Args:
            is_cached: It lies in the passage cache as well.
        """
        speaking = self._speaking.pop(ended.request_id)
        self.recorder.offer(
            Spoken(
                speaking.request.passage.index,
                _join(speaking.chunks),
                ended.marks,
                speaking.number,
                is_last=True,
                trace=ended.trace,
                remark=ended.message,
                is_cached=is_cached,
            )
        )

    def _past_of(self, index: int) -> range:
        return range(max(0, index - self._past_passages), index)

    def _is_past_spoken(self, index: int) -> bool:
        past = (self.recorder.spoken(i) for i in self._past_of(index))
        return all(passage is not None and passage.is_whole for passage in past)


def _join(chunks: list[Chunk]) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.concatenate([chunk.pcm_T for chunk in chunks]) if chunks else np.empty(0, np.int16)


def passage_seed(job_seed: int, index: int) -> int:
    """A seed of its own for each passage, so that speaking one again does not depend on what was spoken before."""
    digest = hashlib.sha256(f"{job_seed}:{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1  # a positive 63-bit number: torch and SQLite both take it
