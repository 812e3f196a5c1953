"""What is called of torch, in which order. That memory really goes is seen in tests/integration/test_mending.py."""

from __future__ import annotations

import gc

import pytest
import torch

from longtake.nn import memory


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine with two cards, of which one holds a gigabyte."""
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: (0, 1 << 30)[device])
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: (1 << 20, 2 << 30)[device])
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("cache"))
    monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: calls.append("workspaces"), raising=False)
    monkeypatch.setattr(memory, "trim", lambda: calls.append("arenas"))
    monkeypatch.setattr(gc, "collect", lambda: calls.append("gc"))
    return calls


def test_beside_a_living_model_the_workspaces_stay(calls: list[str]) -> None:
    memory.give_back()
    assert calls == ["gc", "cache", "arenas"]


def test_without_one_they_go_before_the_cache_that_they_return_to(calls: list[str]) -> None:
    memory.give_back_all()
    assert calls.index("gc") < calls.index("workspaces") < calls.index("cache") < calls.index("arenas")


def test_a_torch_without_that_call_still_gives_the_rest(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch._C, "_cuda_clearCublasWorkspaces")
    memory.give_back_all()
    assert calls[-2:] == ["cache", "arenas"]


def test_use_is_of_all_devices(calls: list[str]) -> None:
    assert memory.device_use() == (1 << 30, (2 << 30) + (1 << 20))


def test_a_machine_without_a_device_holds_nothing_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert memory.device_use() is None, "absent, and not 0"
