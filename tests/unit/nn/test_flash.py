"""The kernels against `KVStore.attend`: run by Triton's interpreter where there is no GPU, and compiled for some.

Skipped where Triton is not installed; `make setup-kernels` installs it. The interpreter knows no bfloat16.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from longtake.nn.decoder import rotate
from longtake.nn.kv import KVStore, Segment
from longtake.nn.kv_int8 import Int8Row

IS_CUDA = torch.cuda.is_available()
DEVICE = "cuda" if IS_CUDA else "cpu"
if not IS_CUDA:
    os.environ["TRITON_INTERPRET"] = "1"  # asked for when a kernel is defined
pytest.importorskip("triton")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:triton", "ignore::DeprecationWarning")

from longtake.nn.flash import FlashDecode  # noqa: E402 - it imports Triton

LAYERS = 2
# A GPU's attention of one's own adds up in another order, and multiplies in three rounds of tensor cores.
TOLERANCE = {torch.float32: 1e-5 if IS_CUDA else 2e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}
DTYPES = [torch.float32, torch.float16] + [torch.bfloat16] * IS_CUDA


@dataclass
class Rows:
    """Two stores with the same rows: one for the kernels, and one for the truth."""

    kernel: KVStore
    truth: KVStore
    lengths: list[int]

    @property
    def segments(self) -> list[Segment]:
        return [Segment(row, length, 1) for row, length in enumerate(self.lengths)]

    def table(self) -> Tensor:
        return torch.tensor(self.kernel.table(self.segments), device=DEVICE)


def make_rows(
    kv_heads: int, size: int, dtype: torch.dtype, lengths: list[int], stored: torch.dtype | None = None
) -> Rows:
    kind = stored or dtype
    stores = [KVStore(layers=LAYERS, kv_heads=kv_heads, head_dim=size, dtype=kind, device=DEVICE) for _ in range(2)]
    for number, length in enumerate(lengths):
        for store in stores:
            store.open_row(length + 1 + number)
        if length:
            for layer in range(LAYERS):
                q = torch.randn(length, kv_heads, size, dtype=dtype, device=DEVICE)
                k, v = torch.randn_like(q), torch.randn_like(q)
                for store in stores:
                    store.attend(layer, q, k, v, [Segment(number, 0, length)])
                    if layer + 1 < LAYERS:
                        store._rows[number].filled = 0
    return Rows(stores[0], stores[1], lengths)


def attend_both(rows: Rows, heads: int, kv_heads: int, size: int, splits: int, dtype: torch.dtype) -> list[Tensor]:
    """Of each layer what the kernels find and what is true."""
    flash = FlashDecode(heads=heads, kv_heads=kv_heads, head_dim=size, kv_dtype=dtype, splits=splits)
    qkv = torch.randn(len(rows.lengths), heads + 2 * kv_heads, size, dtype=dtype, device=DEVICE)
    angle = 6 * torch.rand(len(rows.lengths), size // 2, device=DEVICE)
    cos, sin = angle.cos(), angle.sin()
    table, found = rows.table(), []
    for layer in range(LAYERS):
        ours = flash.attend(layer, qkv, cos, sin, table)
        qk, v = torch.split(qkv, [heads + kv_heads, kv_heads], 1)
        q, k = torch.split(rotate(qk, cos, sin), [heads, kv_heads], 1)
        true = rows.truth.attend(layer, q, k, v, rows.segments)
        found += [ours - true]
        for number, length in enumerate(rows.lengths):
            rows.truth._rows[number].filled = length
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("heads", "kv_heads", "size"),
    [(12, 2, 128), (28, 4, 128), (4, 2, 64), (7, 1, 16)],
    ids=["1.5b", "7b", "small", "7"],
)
def test_rows_of_all_lengths_are_each_alone(heads: int, kv_heads: int, size: int, dtype: torch.dtype) -> None:
    """The first token of a row, a full block, one more, and rows with splits that have nothing to see."""
    torch.manual_seed(0)
    rows = make_rows(kv_heads, size, dtype, [0, 63, 64, 200])
    for difference in attend_both(rows, heads, kv_heads, size, 4, dtype):
        assert difference.abs().max() <= TOLERANCE[dtype]
    for mine, true in zip(rows.kernel._rows.values(), rows.truth._rows.values(), strict=True):
        for (k, v), (true_k, true_v), length in zip(mine.layers, true.layers, [mine.filled] * LAYERS, strict=True):
            # Compiled, the rotation rounds once where the truth rounds twice: now and then the last bit differs.
            rtol = torch.finfo(dtype).eps
            torch.testing.assert_close(k[:, :length], true_k[:, :length], atol=1e-6, rtol=rtol)
            assert torch.equal(v[:, :length], true_v[:, :length])


@pytest.mark.parametrize("splits", [1, 2, 16])
def test_how_a_row_is_cut_changes_nothing(splits: int) -> None:
    torch.manual_seed(0)
    rows = make_rows(2, 64, torch.float32, [5, 130, 1000])
    for difference in attend_both(rows, 8, 2, 64, splits, torch.float32):
        assert difference.abs().max() <= TOLERANCE[torch.float32]


def test_nothing_else_is_written() -> None:
    torch.manual_seed(0)
    rows = make_rows(2, 64, torch.float32, [3, 70])
    before = [torch.stack([torch.stack(pair) for pair in row.layers]) for row in rows.kernel._rows.values()]
    attend_both(rows, 4, 2, 64, 2, torch.float32)
    for old, row, length in zip(before, rows.kernel._rows.values(), rows.lengths, strict=True):
        new = torch.stack([torch.stack(pair) for pair in row.layers])
        same = (new.view(torch.int32) == old.view(torch.int32)).all(-1).all(2).all(1).all(0)
        assert [place for place, is_same in enumerate(same.tolist()) if not is_same] == [length]


def test_the_spare_row_may_come_many_times() -> None:
    """What fills a batch up does not disturb the others."""
    torch.manual_seed(0)
    rows = make_rows(2, 64, torch.float32, [9, 0])
    table = rows.table()[[0, 1, 1, 1]]
    flash = FlashDecode(heads=4, kv_heads=2, head_dim=64, kv_dtype=torch.float32, splits=2)
    qkv = torch.randn(4, 8, 64, device=DEVICE)
    cos = sin = torch.rand(4, 32, device=DEVICE)
    together = flash.attend(0, qkv, cos, sin, table)
    alone = flash.attend(0, qkv[:1], cos[:1], sin[:1], table[:1])
    assert torch.equal(together[:1], alone)
    assert together.isfinite().all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_8_bits(dtype: torch.dtype) -> None:
    """Written like the truth, but for roundings (the interpreter cuts bfloat16 off), and read to the last digit."""
    torch.manual_seed(0)
    rows = make_rows(2, 64, dtype, [0, 130], stored=torch.int8)
    table = rows.table()
    flash = FlashDecode(heads=6, kv_heads=2, head_dim=64, kv_dtype=torch.int8, splits=4)
    qkv = torch.randn(2, 10, 64, dtype=dtype, device=DEVICE)
    qkv[1, -1] = 0  # a value of zeros
    q, k, v = torch.split(qkv, [6, 2, 2], 1)
    cos, sin = torch.ones(2, 32, device=DEVICE), torch.zeros(2, 32, device=DEVICE)
    for layer in range(LAYERS):
        rows.truth.attend(layer, q, k, v, rows.segments)
        found = flash.attend(layer, qkv, cos, sin, table)
        for number, length in enumerate(rows.lengths):
            mine, theirs = rows.kernel._rows[number], rows.truth._rows[number]
            assert isinstance(mine, Int8Row)
            assert isinstance(theirs, Int8Row)
            seen = slice(length + 1)
            stored = mine.numbers[:, layer, :, seen] * mine.scales[:, layer, :, seen, None].float()
            given = theirs.numbers[:, layer, :, seen] * theirs.scales[:, layer, :, seen, None].float()
            step = theirs.scales[:, layer, :, seen, None].float()
            assert ((stored - given).abs() <= 1.01 * step).all()
            true = torch.nn.functional.scaled_dot_product_attention(q[number].float().view(2, 3, 64), *stored)
            assert (found[number] - true.reshape(6, 64)).abs().max() <= TOLERANCE[dtype]
            theirs.filled = length


COMPILE = """
import triton, triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from longtake.nn import flash_kernels as kernels

def compile(kernel, pointers, numbers, fixed):
    names = kernel.arg_names
    signature = {name: pointers.get(name) or numbers.get(name) or "constexpr" for name in names}
    aligned = {(names.index(name),): [["tt.divisibility", 16]] for name in pointers}
    source = ASTSource(kernel, signature, {(names.index(name),): value for name, value in fixed.items()}, aligned)
    return triton.compile(source, target=GPUTarget("cuda", ARCH, 32))

for name, kind in (("bf16", tl.bfloat16), ("fp16", tl.float16), ("fp32", tl.float32)):
    for kv in (kind, tl.int8):
        shape = {"A": 12, "K": 2, "D": 128, "KV": kv, "COLS": 6}
        tables = {"table": "*i64", "cos": "*fp32", "sin": "*fp32"}
        heads = {"qkv": "*" + name, "q_out": "*" + name, **tables}
        compile(kernels.rotate_and_store, heads, {"layer": "i32"}, shape)
        made = compile(
            kernels.attend_split, {"q": "*" + name, "table": "*i64", "parts": "*fp32"},
            {"layer": "i32", "scale": "fp32"},
            {**shape, "GROUP": 16, "SPLITS": 64, "BLOCK": 32 if name == "fp32" else 64},
        )
        wide = "cp.async.cg.shared.global" in made.asm["ptx"]  # 16 bytes at once
        print(name, kv, made.metadata.shared, wide, "mma.sync" in made.asm["ptx"])
    compile(kernels.combine, {"parts": "*fp32", "out": "*" + name}, {}, {"D": 128, "SPLITS": 64})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Triton compiles for CUDA on Linux")
@pytest.mark.parametrize("arch", [80, 90])
def test_they_compile_and_read_sixteen_bytes_at_once(arch: int) -> None:
    """For GPUs that are not here. Shared memory: an A100 has 163 KiB for a program, a desktop's card 99."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE.replace("ARCH", str(arch))],
        env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = [line.split() for line in done.stdout.splitlines()]
    assert len(found) == 6
    for name, kv, shared, is_wide, has_tensor_cores in found:
        assert int(shared) <= 99 << 10, (name, kv)
        assert is_wide == "True", (name, kv)
        assert has_tensor_cores == str(name != "fp32"), (name, kv)
