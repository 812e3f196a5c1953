"""Which requests were spoken before, and what is kept of those spoken now. Knows no job, no recorder."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from longtake.cache import Entry, PassageCache, passage_key
from longtake.engines.base import Chunk, Ended, Engine, SpeakRequest


@dataclass(slots=True)
class _Heard:
    """A request that the engine speaks, from its beginning. The chunks are held anyway until they are committed."""

    key: str
    chunks: list[NDArray[np.int16]] = field(default_factory=list)


class Reuse:
    """Belongs to the loop's thread; `hits` and `misses` may be read from any.

    Reading or writing an entry takes some tenths of a millisecond a passage: less than an engine's beat.
    """

    def __init__(self, engine: Engine, cache: PassageCache | None) -> None:
        """
        Args:
            cache: None keeps nothing.
        """
        self._engine = engine
        self._cache = cache if engine.info.caches_passages and cache is not None and cache.bound_bytes else None
        self._heard: dict[str, _Heard] = {}
        self.hits = 0
        self.misses = 0

    def find(self, request: SpeakRequest) -> Entry | None:
        """What was spoken for such a request before; otherwise the request is listened to from here on."""
        if self._cache is None or request.trace:
            return None
        key = self._key(request)
        entry = self._cache.get(key)
        if entry is None:
            self.misses += 1
            self._heard[request.id] = _Heard(key)
        else:
            self.hits += 1
        return entry

    def take(self, chunk: Chunk) -> None:
        if heard := self._heard.get(chunk.request_id):
            heard.chunks.append(chunk.pcm_T)

    def end(self, ended: Ended) -> None:
        """A passage is spoken to its end: it is kept, unless there is something to say of it."""
        heard = self._heard.pop(ended.request_id, None)
        if heard is not None and self._cache is not None and not ended.message:
            self._cache.put(heard.key, Entry(np.concatenate([np.empty(0, np.int16), *heard.chunks]), ended.marks))

    def forget(self, job_id: str) -> None:
        """The job is let go: its requests will not be heard to their end."""
        for request_id in [each for each in self._heard if each.startswith(f"{job_id}/")]:
            del self._heard[request_id]

    def _key(self, request: SpeakRequest) -> str:
        info = self._engine.info
        return passage_key(
            request.passage,
            engine=info.name,
            revision=self._engine.revision(request),
            voices=request.voices,
            speed=request.speed,
            settings=request.settings,
            seed=request.seed if info.uses_seed else None,
        )
