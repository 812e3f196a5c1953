"""One claimed job inside the loop: which passages are still to be spoken, and the chunks of those being spoken."""

from __future__ import annotations

import hashlib
from collections import deque

import numpy as np

from longtake.engines.base import Chunk, Ended, SpeakRequest
from longtake.jobs.records import Claim
from longtake.worker.recorder import Recorder, Spoken


class JobRun:
    """Belongs to the loop's thread; only `recorder` lives in another."""

    def __init__(self, claim: Claim, recorder: Recorder) -> None:
        self.claim = claim
        self.recorder = recorder
        self._to_speak = deque(p.index for p in claim.passages if p.index not in claim.spoken)
        self.requests: dict[str, SpeakRequest] = {}  # offered to the scheduler and not ended
        self._chunks: dict[str, list[Chunk]] = {}

    def next_request(self) -> SpeakRequest | None:
        """The next passage as a request; None when all are spoken or being spoken."""
        for index in self.recorder.take_damaged():
            self._to_speak.append(index)
        if not self._to_speak:
            return None
        index = self._to_speak.popleft()
        passage = self.claim.passages[index]
        spec = self.claim.job.spec
        request = SpeakRequest(
            id=f"{self.claim.job.id}/{self.claim.token}/{index}",
            passage=passage,
            voices={line.speaker: spec.voices[line.speaker] for line in passage.lines},
            speed=spec.speed,
            seed=passage_seed(spec.seed, index),
            settings=spec.settings,
        )
        self.requests[request.id] = request
        self._chunks[request.id] = []
        return request

    def take(self, chunk: Chunk) -> None:
        self._chunks[chunk.request_id].append(chunk)

    def end(self, ended: Ended) -> None:
        """A passage is spoken to its end: the recorder takes over."""
        index = self.requests.pop(ended.request_id).passage.index
        chunks = [chunk.pcm_T for chunk in self._chunks.pop(ended.request_id)]
        pcm_T = np.concatenate(chunks) if chunks else np.empty(0, np.int16)  # noqa: N806
        self.recorder.offer(Spoken(index, pcm_T, ended.marks))


def passage_seed(job_seed: int, index: int) -> int:
    """A seed of its own for each passage, so that speaking one again does not depend on what was spoken before."""
    digest = hashlib.sha256(f"{job_seed}:{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1  # a positive 63-bit number: torch and SQLite both take it
