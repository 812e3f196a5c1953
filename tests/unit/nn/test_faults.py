"""No room, a broken device, or neither: told by kind and by words."""

from __future__ import annotations

import pytest
import torch

from longtake.nn.faults import free_device_bytes, is_device_fault, is_out_of_memory

NO_ROOM = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: not enough memory: you tried to"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError(),
]
BROKEN = [
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
]
NEITHER = [RuntimeError("The size of tensor a (3) must match"), ValueError("CUDA error: out of memory"), KeyError(1)]


@pytest.mark.parametrize("error", NO_ROOM)
def test_no_room_leaves_the_device_as_it_was(error: BaseException) -> None:
    assert (is_out_of_memory(error), is_device_fault(error)) == (True, False)


@pytest.mark.parametrize("error", BROKEN)
def test_a_broken_device_is_no_lack_of_room(error: BaseException) -> None:
    assert (is_out_of_memory(error), is_device_fault(error)) == (False, True)


@pytest.mark.parametrize("error", NEITHER)
def test_our_own_mistakes_are_neither(error: BaseException) -> None:
    assert (is_out_of_memory(error), is_device_fault(error)) == (False, False)


def test_torch_says_so_in_these_words() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(refused.value)


def test_what_torch_keeps_for_itself_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 200)
    assert free_device_bytes(torch.device("cuda:1")) == 1300
    assert free_device_bytes(torch.device("cpu")) is None
    assert free_device_bytes(torch.device("mps")) is None
