"""The parts of a step, told to the device operation by operation: the truth that graphs are held against.

Shape suffixes: B streams, S steps of the solver.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from longtake.engines.vibevoice.decoding.solver import SolverTable
from longtake.engines.vibevoice.decoding.stages import Stages
from longtake.nn.kv import KVStore, Segment
from longtake.nn.mirror import to_device
from longtake.nn.streaming import Rows


class Teller(Protocol):
    """Tells the device to do a part of a step for the streams in these slots, and does not wait for it."""

    def decode(self, slots: Sequence[int], segments: Sequence[Segment]) -> None:
        """
        Args:
            segments: Of one token each: where it stands in the positive branches, then in the negative ones.

        Raises:
            InvariantError: The segments do not fit the store. Nothing is told then.
        """
        ...

    def diffuse(
        self, slots: Sequence[int], table: SolverTable, noise_B64: Tensor, step_noise_BS64: Tensor | None
    ) -> None:
        """
        Args:
            noise_B64: float32, on the host, as that of the steps.
        """
        ...

    def code(self, slots: Sequence[int]) -> None: ...

    def release(self) -> None:
        """Give back what can be made again."""
        ...


class Eager:
    """Implements `Teller`."""

    def __init__(self, stages: Stages, kv: KVStore) -> None:
        self._stages = stages
        self._kv = kv
        self._device = stages.model.device

    def decode(self, slots: Sequence[int], segments: Sequence[Segment]) -> None:
        self._stages.decode(
            self._rows(slots), partial(self._stages.model.language_model, segments=segments, kv=self._kv)
        )

    def diffuse(
        self, slots: Sequence[int], table: SolverTable, noise_B64: Tensor, step_noise_BS64: Tensor | None
    ) -> None:
        if step_noise_BS64 is not None:
            step_noise_BS64 = to_device(step_noise_BS64, self._device)
        self._stages.diffuse(self._rows(slots), table, to_device(noise_B64, self._device), step_noise_BS64)

    def code(self, slots: Sequence[int]) -> None:
        self._stages.code(self._rows(slots))

    def release(self) -> None:
        pass

    def _rows(self, slots: Sequence[int]) -> Rows:
        first, last = slots[0], slots[0] + len(slots)
        if list(slots) == list(range(first, last)):
            return slice(first, last)  # neighbours are worked on where they lie
        return to_device(torch.tensor(slots), self._device)
