"""Work on a device, recorded once and told again in one call: CUDA graphs. Knows no model.

What is recorded reads and writes where it did when it was recorded, whatever lies there now. So its inputs and outputs
are tensors that stay; what it allocates between them comes from a pool that all recordings of a recorder share, since
they never run at the same time.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import torch

Work = Callable[[], None]

_WARM_UPS = 2  # the first compiles kernels and lets libraries take what they keep


class Recorder(Protocol):
    """Records work, to be told again."""

    def record(self, work: Work) -> Work:
        """What does the same as the work, with one call. The work is done some times on the way.

        Raises:
            RuntimeError: The device has no room, or the work does what cannot be recorded: it waits for the device.
        """
        ...

    def forget(self) -> None:
        """Nothing that was recorded will be told again: its pool may go."""
        ...


class CudaRecorder:
    """Implements `Recorder`. To be used by the thread that owns the device.

    Args:
        device: A CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, work: Work) -> Work:
        before = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(before)
        try:
            # The warm-up runs on the stream of the recording: libraries keep their workspaces by stream. The stream is
            # chosen here, as a recording that fails does not choose the one before again.
            with torch.cuda.stream(self._stream):
                for _ in range(_WARM_UPS):
                    work()
                return self._recorded(work).replay
        finally:
            before.wait_stream(self._stream)

    def _recorded(self, work: Work) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        # Other threads, such as the one that reads how much memory is used, may call the driver meanwhile.
        recording = torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local")
        try:
            with _no_collection(), recording:
                work()
        except BaseException:
            self._leave_pool()
            raise
        return graph

    def _leave_pool(self) -> None:
        """After a recording that failed. Torch ends the use of a pool only behind what it could end without an error:
        otherwise it takes the pool for one in use, refuses it to the next recording, and gives back no cached memory
        when it runs out."""
        with suppress(AttributeError, RuntimeError):  # not public; the first one fails if it was ended
            torch._C._cuda_endAllocateToPool(self._stream.device_index, self._pool)
            torch._C._cuda_releasePool(self._stream.device_index, self._pool)
        self.forget()

    def forget(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()  # a pool whose last graph is gone cannot be used again


@contextmanager
def _no_collection() -> Iterator[None]:
    """Python's collector stands still: it could free a graph or an event of somebody else, and a thread that records
    may not do that."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
