"""How far a passage is, as its job counts it."""

from __future__ import annotations

from dataclasses import dataclass

from longtake.core.units import samples_of, seconds_of


@dataclass(frozen=True, slots=True)
class Standing:
    """What is committed of a passage, and what was expected of it."""

    is_spoken: bool
    stretches: int
    samples: int
    silence_s: float
    estimated_s: float

    @property
    def heard_samples(self) -> int:
        return self.samples + samples_of(self.silence_s) if self.stretches else 0

    @property
    def settled_s(self) -> float:
        """How much of its estimate is a guess no more."""
        return self.estimated_s if self.is_spoken else min(seconds_of(self.samples), self.estimated_s)
