"""The parts of a step as CUDA graphs: recorded once for each size of a batch, then told in one call each.

A frame is some 2,500 small operations; told one by one they take longer than the device needs for them (ADR 20). A
recording reads and writes the same addresses for ever, so all it works on stays where it is: the board, the
convolutions' states, and the buffers here, into which each step writes who takes part. Rows of keys and values come and
go: the recording finds them by a table of addresses (`nn/flash`). Batches are filled up to the next recorded size with
the board's spare slot and a row of one position.

Shape suffixes: B streams of the padded batch, N = 2 B rows of both branches, C columns of the table, S solver steps.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from longtake.engines.vibevoice.decoding.solver import MAX_STEPS, Solver, SolverTable
from longtake.engines.vibevoice.decoding.stages import Stages
from longtake.engines.vibevoice.network.config import LATENT_DIM
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.planning.workspace import batch_sizes
from longtake.nn.capture import CudaRecorder, Recorder, Work
from longtake.nn.kv import POSITION, TABLE_COLUMNS, KVStore, Segment
from longtake.nn.mirror import to_device

if TYPE_CHECKING:
    from longtake.engines.vibevoice.decoding.runner import Runner

log = logging.getLogger(__name__)

MOST_GRAPHS = 24  # three for each size of a batch, and one more for each other number of diffusion steps
_ROUNDING = 2e-2

# Heads of queries, keys and values of a layer, cosines, sines, and the table, (N, C) → what the queries found.
TableAttend = Callable[[int, Tensor, Tensor, Tensor, Tensor], Tensor]


class Graphs:
    """Implements `Teller`.

    Args:
        slots: The most streams of a batch.
        attend: Stores and attends by the table, as `nn.flash.FlashDecode.attend`.
    """

    def __init__(self, stages: Stages, kv: KVStore, slots: int, *, attend: TableAttend, recorder: Recorder) -> None:
        self._stages, self._kv = stages, kv
        self._attend = attend
        self._recorder = recorder
        self._device = stages.model.device
        self._sizes = batch_sizes(slots)
        self._recorded: OrderedDict[Hashable, Work] = OrderedDict()
        largest = self._sizes[-1]
        spare_row = kv.open_row(1)
        self._spare_slot = stages.board.spare
        self._spare_entry = kv.table([Segment(spare_row, 0, 1)])[0]

        def zeros(*shape: int, dtype: torch.dtype) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=self._device)

        self._slots_B = zeros(largest, dtype=torch.int64)
        self._table_NC = zeros(2 * largest, TABLE_COLUMNS, dtype=torch.int64)
        self._noise_B64 = zeros(largest, LATENT_DIM, dtype=torch.float32)
        self._step_noise_BS64 = zeros(largest, MAX_STEPS, LATENT_DIM, dtype=torch.float32)

    def decode(self, slots: Sequence[int], segments: Sequence[Segment]) -> None:
        entries = self._kv.table(segments)
        size = self._padded(len(slots))
        tell = self._recording(("decode", size), partial(self._decode, size))
        padding = [self._spare_entry] * (size - len(slots))
        positive, negative = entries[: len(slots)], entries[len(slots) :]
        self._write(self._slots_B, self._filled_up(slots, size))
        self._write(self._table_NC, torch.tensor([*positive, *padding, *negative, *padding]))
        tell()

    def diffuse(
        self, slots: Sequence[int], table: SolverTable, noise_B64: Tensor, step_noise_BS64: Tensor | None
    ) -> None:
        size = self._padded(len(slots))
        tell = self._recording(("diffuse", size, table), partial(self._diffuse, size, table))
        self._write(self._slots_B, self._filled_up(slots, size))
        self._write(self._noise_B64, noise_B64)
        if step_noise_BS64 is not None:
            self._write(self._step_noise_BS64[:, : table.steps], step_noise_BS64)
        tell()

    def code(self, slots: Sequence[int]) -> None:
        size = self._padded(len(slots))
        tell = self._recording(("code", size), partial(self._code, size))
        self._write(self._slots_B, self._filled_up(slots, size))
        tell()

    def release(self) -> None:
        self._recorded.clear()
        self._recorder.forget()

    # What is recorded

    def _decode(self, size: int) -> None:
        table_NC = self._table_NC[: 2 * size]

        def attend(layer: int, qkv_NXD: Tensor, cos_NP: Tensor, sin_NP: Tensor) -> Tensor:
            return self._attend(layer, qkv_NXD, cos_NP, sin_NP, table_NC)

        decoder = self._stages.model.language_model
        read = partial(decoder.run, position_N=table_NC[:, POSITION], attend=attend)
        self._stages.decode(self._slots_B[:size], read)

    def _diffuse(self, size: int, table: SolverTable) -> None:
        step_noise_BS64 = self._step_noise_BS64[:size, : table.steps] if table.solver == Solver.SDE else None
        self._stages.diffuse(self._slots_B[:size], table, self._noise_B64[:size], step_noise_BS64)

    def _code(self, size: int) -> None:
        self._stages.code(self._slots_B[:size])

    # How

    def _recording(self, key: Hashable, work: Work) -> Work:
        """What does the work in one call. Where there is no room for a recording, the work itself, until `release`."""
        if key in self._recorded:
            self._recorded.move_to_end(key)
            return self._recorded[key]
        # To record is to do: nobody takes part in it but the spare slot and the spare row.
        self._slots_B.fill_(self._spare_slot)
        self._write(self._table_NC, torch.tensor([self._spare_entry] * len(self._table_NC)))
        try:
            tell = self._recorder.record(work)
        except RuntimeError as error:
            # A broken device says so again when the work is told to it. The trace has the operation that broke it.
            log.warning(
                "%s is told step by step from now on, as it could not be recorded: %s", key, error, exc_info=error
            )
            tell = work
        self._recorded[key] = tell
        if len(self._recorded) > MOST_GRAPHS:
            self._recorded.popitem(last=False)
        return tell

    def _padded(self, streams: int) -> int:
        return next(size for size in self._sizes if size >= streams)

    def _filled_up(self, slots: Sequence[int], size: int) -> Tensor:
        return torch.tensor([*slots, *[self._spare_slot] * (size - len(slots))])

    def _write(self, target: Tensor, host: Tensor) -> None:
        """Into the first rows of a buffer, in its turn: after what the device was told before."""
        target[: len(host)].copy_(to_device(host, self._device), non_blocking=True)


def use_graphs(runner: Runner, slots: int) -> str | None:
    """Let the runner, which has no streams yet, tell its steps as graphs.

    Returns:
        Why it does not, if it does not; then its steps are told operation by operation, as they were.
    """
    device, decoder = runner.model.device, runner.model.config.decoder
    if device.type != "cuda":
        return f"{device.type} has no CUDA graphs"
    if find_spec("triton") is None:
        return "Triton is not installed, which comes with torch's builds for CUDA on Linux"
    if not is_kernel_shape(decoder.head_dim):
        return f"heads of {decoder.head_dim} numbers have no kernel"
    from longtake.nn.flash import FlashDecode  # here: it imports Triton

    flash = FlashDecode(
        heads=decoder.num_attention_heads,
        kv_heads=decoder.num_key_value_heads,
        head_dim=decoder.head_dim,
        kv_dtype=runner.kv.dtype,
    )
    if (why_not := fails(flash.attend, runner.kv, runner.model)) is not None:
        return why_not
    runner.teller = Graphs(runner.stages, runner.kv, slots, attend=flash.attend, recorder=CudaRecorder(device))
    return None


def fails(attend: TableAttend, kv: KVStore, model: VibeVoiceModel) -> str | None:
    """Why it does not do what it should, if it does not, for both branches of a stream. Waits for the device.

    Triton compiles its launchers where it runs: without a C compiler or Python's headers there is no kernel.
    """
    decoder = model.config.decoder
    heads = decoder.num_attention_heads + 2 * decoder.num_key_value_heads
    row = kv.open_row(1)
    try:
        table_NC = torch.tensor(kv.table([Segment(row, 0, 1)]) * 2, device=model.device)
        ones_NXD = torch.ones(2, heads, decoder.head_dim, dtype=model.dtype, device=model.device)
        zeros_NP = torch.zeros(2, decoder.head_dim // 2, device=model.device)
        found_NAD = attend(0, ones_NXD, zeros_NP.cos(), zeros_NP, table_NC)
    except Exception as error:  # whatever a compiler lacks
        log.debug("a kernel of Triton's failed", exc_info=error)
        first_line, *_ = [*str(error).splitlines(), ""]
        return f"Triton's kernels fail here ({type(error).__name__}: {first_line})"
    finally:
        kv.close_row(row)
    # A row of one token is its value, up to what int8 rounds.
    is_right = bool(((found_NAD - 1).abs() <= _ROUNDING).all())
    return None if is_right else "Triton's kernels give wrong numbers here"


def is_kernel_shape(head_dim: int) -> bool:
    """Powers of two that tensor cores take and that fit into a program's registers."""
    return head_dim in (16, 32, 64, 128, 256)
