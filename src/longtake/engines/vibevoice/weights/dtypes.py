"""Which type a CPU is quickest with. Imports no torch: `longtake plan` has to say the same as the engine."""

from __future__ import annotations

from pathlib import Path

# fp32 is taken on a CPU whose free memory it fills up to this share: where bf16 is computed in, and where it is not.
NATIVE_SHARE, IMITATED_SHARE = 0.25, 0.5
BF16_FLAGS = ("amx_bf16", "avx512_bf16")


def host_dtype(parameters: int, free_bytes: int, *, is_native: bool | None = None) -> str:
    """``fp32`` or ``bf16``.

    A CPU that does not compute in bf16 takes 2.7 times as long with it as with fp32 (measured, docs/vibevoice.md), and
    one that does about as long: then it is taken where its half of the memory is worth something.

    Args:
        parameters: How many the model has.
        is_native: The CPU computes in bf16; None: asked of the kernel.
    """
    share = NATIVE_SHARE if (has_bf16() if is_native is None else is_native) else IMITATED_SHARE
    return "fp32" if 4 * parameters <= share * free_bytes else "bf16"


def has_bf16() -> bool:
    """Whether the kernel says that the CPU computes in bf16."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split())
    except OSError:
        return False
    return not flags.isdisjoint(BF16_FLAGS)
