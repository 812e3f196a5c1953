"""What is called of torch around a recording, in which order. That graphs work is seen in tests/gpu."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from longtake.nn.capture import CudaRecorder


class Stream:
    device_index = 0

    def __init__(self, name: str) -> None:
        self.name = name
        self.waited: list[str] = []

    def wait_stream(self, other: Stream) -> None:
        self.waited.append(other.name)


class Cuda:
    """What torch does: a recording that cannot be ended raises, leaves its stream current and its pool in use."""

    def __init__(self) -> None:
        self.main, self.side = Stream("main"), Stream("side")
        self.current = self.main
        self.pools = 0
        self.in_use: list[tuple[int, int]] = []
        self.released: list[tuple[int, int]] = []
        self.can_end = True

    def pool(self) -> tuple[int, int]:
        self.pools += 1
        return 0, self.pools

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def graph(self, graph: Any, *, pool: tuple[int, int], stream: Stream, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        if pool in self.in_use:
            raise RuntimeError("already recording to mempool_id")
        self.in_use.append(pool)
        before, self.current = self.current, stream
        try:
            yield
        finally:
            if not self.can_end:
                raise RuntimeError("operation failed due to a previous error during capture")
            self.in_use.remove(pool)
            self.current = before

    def end_pool(self, device: int, pool: tuple[int, int]) -> None:
        if pool not in self.in_use:
            raise RuntimeError("not currently recording to mempool_id")
        self.in_use.remove(pool)


class Graph:
    def replay(self) -> None: ...


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    cuda = Cuda()
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: cuda.side)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: cuda.current)
    monkeypatch.setattr(torch.cuda, "stream", cuda.stream)
    monkeypatch.setattr(torch.cuda, "graph", cuda.graph)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", cuda.pool)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", cuda.end_pool, raising=False)
    monkeypatch.setattr(torch._C, "_cuda_releasePool", lambda device, pool: cuda.released.append(pool), raising=False)
    return cuda


def broken() -> None:
    raise RuntimeError("operation not permitted when stream is capturing")


def test_work_is_warmed_up_and_recorded_on_one_stream_to_which_both_sides_wait(cuda: Cuda) -> None:
    seen: list[tuple[str, bool, bool]] = []
    tell = CudaRecorder(torch.device("cuda")).record(
        lambda: seen.append((cuda.current.name, bool(cuda.in_use), gc.isenabled()))
    )
    assert tell.__name__ == "replay"
    assert seen == [("side", False, True)] * 2 + [("side", True, False)], "no collection while it is recorded"
    assert gc.isenabled()
    assert (cuda.side.waited, cuda.main.waited) == (["main"], ["side"])
    assert cuda.current is cuda.main


@pytest.mark.parametrize("can_end", [True, False])
def test_what_failed_leaves_neither_stream_nor_pool_to_the_next(cuda: Cuda, can_end: bool) -> None:
    recorder = CudaRecorder(torch.device("cuda"))
    cuda.can_end = can_end
    with pytest.raises(RuntimeError):
        recorder.record(lambda: broken() if cuda.in_use else None)
    assert cuda.current is cuda.main
    assert cuda.main.waited == ["side"], "what was warmed up may still run"
    assert gc.isenabled()
    assert not cuda.in_use
    assert cuda.released == ([] if can_end else [(0, 1)]), "torch releases by itself what it could end"
    cuda.can_end = True
    assert recorder.record(lambda: None).__name__ == "replay"
    assert cuda.pools == 2, "a pool whose only graph is gone is refused"


def test_after_forgetting_comes_a_fresh_pool(cuda: Cuda) -> None:
    recorder = CudaRecorder(torch.device("cuda"))
    recorder.record(lambda: None)
    recorder.forget()
    assert cuda.pools == 2
