from __future__ import annotations

import pytest

from longtake.core.errors import InputError
from longtake.core.units import format_bytes, parse_size
from longtake.worker import memory
from longtake.worker.memory import budget_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("20GiB", 20 << 30),
        ("500MB", 500_000_000),
        ("1.5 gib", 3 << 29),
        ("64Mi", 64 << 20),
        ("8k", 8_000),
        ("8KiB", 8_192),
        ("1048576", 1 << 20),
        ("512 B", 512),
        (" 2g ", 2_000_000_000),
        ("0", 0),
    ],
)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert parse_size(text, "memory") == size
    assert budget_bytes(text, 1 << 40) == size


@pytest.mark.parametrize(
    "text", ["", "much", "GiB", "-1GiB", "1TiB", "1.GiB", "1e9", "1 Gi B", "20GiB!", "0x10", "1,5G"]
)
def test_what_is_no_size_is_told_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match="20GiB or 500MB") as refused:
        budget_bytes(text)
    assert repr(text) in refused.value.message
    assert (refused.value.code, refused.value.param) == ("invalid_size", "memory_budget")


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_host_bytes", lambda: 1001)


def test_without_a_size_it_is_half_of_what_is_free(free: None) -> None:
    assert budget_bytes(None) == 500


def test_a_device_of_its_own_is_the_engines_to_measure(free: None) -> None:
    assert budget_bytes(None, 70_000) == 70_000
    assert budget_bytes(None, 0) == 0, "none, and not the host's"


@pytest.mark.parametrize(("device", "most"), [(None, 1001), (700, 700)])
def test_what_is_asked_for_is_had_as_far_as_it_is_free(
    free: None, caplog: pytest.LogCaptureFixture, device: int | None, most: int
) -> None:
    assert budget_bytes("600", device) == 600
    assert not caplog.records
    assert budget_bytes("64KiB", device) == most
    assert f"64.0 KiB, and only {format_bytes(most)} are free" in caplog.text
