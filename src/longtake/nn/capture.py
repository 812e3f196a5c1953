"""Work on a device, recorded once and told again in one call: CUDA graphs. Knows no model.

What is recorded reads and writes where it did when it was recorded, whatever lies there now. So its inputs and outputs
are tensors that stay; what it allocates between them comes from a pool that all recordings of a recorder share, since
they never run at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
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
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, work: Work) -> Work:
        # The warm-up runs on the stream of the recording: libraries keep their workspaces by stream.
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                work()
        torch.cuda.current_stream().wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads, such as the one that reads how much memory is used, may call the driver meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            work()
        return graph.replay

    def forget(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()  # a pool whose last graph is gone cannot be used again
