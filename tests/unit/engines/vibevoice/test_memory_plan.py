"""The plan is what admission does: the same rows, the same room; and its advice is true."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtake.core.errors import NotFoundError
from longtake.core.units import parse_size
from longtake.engines.vibevoice import engine as engine_module
from longtake.engines.vibevoice.network.config import VibeVoiceConfig
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.network.quantization import Quantization, read_dtype
from longtake.engines.vibevoice.planning.budget import MAX_ACTIVE, step_limit
from longtake.engines.vibevoice.planning.footprint import SIZES
from longtake.engines.vibevoice.planning.memory_plan import (
    MemoryPlan,
    Wish,
    max_jobs,
    max_minutes,
    plan_memory,
    remedies,
    room_of,
)
from longtake.engines.vibevoice.weights.shapes import CONFIGS, config_of
from longtake.nn.scheme import INT4, INT8
from longtake.scheduling import Candidate, Scheduler
from longtake.worker import memory as worker_memory
from tests.support import golden
from tests.unit.engines.vibevoice.conftest import Bench, ask

GIB = 1 << 30
BASE = Wish(CONFIGS["1.5b"], minutes=90, jobs=4, memory_bytes=24 * GIB)

wishes = st.builds(
    Wish,
    config=st.builds(
        lambda name, kind: replace(CONFIGS[name], quantization=kind),
        st.sampled_from(["1.5b", "7b", "small"]),
        st.sampled_from([None, Quantization(INT8), Quantization(INT4, True)]),
    ),
    minutes=st.floats(0.1, 600),
    jobs=st.integers(1, 12),
    memory_bytes=st.integers(0, 100 * GIB),
    on_host=st.booleans(),
    dtype=st.sampled_from(list(SIZES)),
    context=st.sampled_from(["full", "window", None]),
    is_bytes=st.booleans(),
    has_int8_kv=st.booleans(),
)


def plan(**changes: object) -> MemoryPlan:
    return plan_memory(replace(BASE, **changes))  # type: ignore[arg-type]


def test_ninety_minutes_of_the_released_model() -> None:
    """research/vibevoice.md, section 2: 3.04 GB of state, beside 4.26 GB; the embedding's 0.47 are on the host."""
    planned = plan()
    assert (planned.fits, planned.context, planned.rows.positive) == (True, "full", 65_536)
    assert planned.job_bytes == pytest.approx(3.04e9, rel=0.03)
    assert planned.weights_bytes == pytest.approx(4.26e9, rel=0.005)
    assert planned.elsewhere_bytes == pytest.approx(0.467e9, rel=0.005)
    assert planned.dropped_bytes == pytest.approx(0.687e9, rel=0.005)
    assert planned.to_dict()["max_jobs"] == 6
    assert planned.to_dict()["max_minutes"] == pytest.approx(94, abs=0.5), "the window's end"


def test_what_the_window_does_not_hold_is_planned_passage_by_passage() -> None:
    assert (plan(config=CONFIGS["7b"], jobs=1).context, plan(config=CONFIGS["7b"], jobs=1).fits) == ("window", True)
    asked = plan(minutes=120.0, context="full", memory_bytes=200 * GIB)
    assert "window has 65,536" in asked.reasons[0]
    assert list(remedies(asked)) == [
        "--context window: spoken passage by passage, any length in the same memory",
        f"--minutes {int(max_minutes(asked.wish))}: the longest that is in view at once",
    ]
    long, longer = (plan(minutes=minutes, context="window") for minutes in (60.0, 600.0))
    assert long.job_bytes == longer.job_bytes, "the same memory for any length"


def test_a_request_reserves_what_is_planned(bench: Bench) -> None:
    """But for its own prompt instead of a typical one."""
    request = ask(expected_s=60.0)
    cost = bench.engine.cost(request)
    planned = plan(config=CONFIGS["tiny"], minutes=1.0, dtype="fp32", is_bytes=True)
    limit = step_limit(60.0)
    assert cost.steps == limit
    prompt = planned.rows.positive - limit
    assert planned.rows.negative == limit + 1
    bench.engine.start(request)
    held = bench.runner.kv.used_bytes
    per_position = planned.job_bytes // planned.rows.positions
    assert cost.used_bytes == held == (held // per_position) * per_position
    assert held // per_position - (2 * limit + 1) <= prompt, "its prompt is no longer than a typical one"


@pytest.mark.parametrize("free", [10 * GIB, 300 << 20, 0])
def test_the_room_is_what_admission_gets(bench: Bench, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    config, sizes = CONFIGS["tiny"], SIZES["fp32"]
    monkeypatch.setattr(engine_module, "free_device_bytes", lambda device: free)
    assert room_of(free, config, sizes, on_host=False) == bench.engine.budget_bytes
    monkeypatch.setattr(worker_memory, "free_host_bytes", lambda: free)
    assert room_of(free, config, sizes, on_host=True) <= worker_memory.budget_bytes(None)


def test_the_plan_of_a_model_is_its_real_weights(tiny: VibeVoiceModel, bench: Bench) -> None:
    planned = plan(config=CONFIGS["tiny"], dtype="fp32")
    assert planned.weights_bytes + planned.dropped_bytes + planned.elsewhere_bytes == tiny.weights_bytes
    assert planned.elsewhere_bytes == tiny.language_model.embed_tokens.weight.nbytes
    on_host = plan(config=CONFIGS["tiny"], dtype="fp32", on_host=True)
    assert on_host.weights_bytes + on_host.dropped_bytes == tiny.weights_bytes
    assert on_host.elsewhere_bytes == 0
    assert planned.state_bytes == bench.engine.state_bytes


def test_what_does_not_fit_in_full_may_fit_quantized() -> None:
    asked = plan(config=CONFIGS["7b"], minutes=30.0, jobs=1, memory_bytes=16 * GIB)
    assert not asked.fits
    assert "--dtype int8+bf16: the decoder's matrices in 8 bits" in list(remedies(asked))
    quantized = replace(CONFIGS["7b"], quantization=Quantization(INT8))
    planned = plan(config=quantized, minutes=30.0, jobs=1, memory_bytes=16 * GIB)
    assert planned.fits
    assert planned.to_dict()["dtype"] == "int8+bf16"
    in_full = plan(config=CONFIGS["7b"])
    assert in_full.weights_bytes - planned.weights_bytes == pytest.approx(6525e6, rel=0.002), "half of the decoder"
    assert planned.job_bytes == asked.job_bytes, "keys and values are not touched"
    one = 4 * 2 * 18_944 * 3584
    assert planned.loading_bytes == planned.weights_bytes + planned.dropped_bytes + one, "gate and up in float32"


@given(wishes)
def test_what_fits_is_admitted_and_what_does_not_is_not(wish: Wish) -> None:
    planned = plan_memory(wish)
    scheduler = Scheduler(MAX_ACTIVE, planned.room_bytes)
    admitted = 0
    if planned.job_bytes <= planned.room_bytes:
        for number in range(wish.jobs):
            scheduler.offer(Candidate(f"{number}", number, planned.job_bytes))
        admitted = len(scheduler.schedule())
    if planned.fits:
        assert admitted == wish.jobs
        assert planned.peak_bytes <= wish.memory_bytes
    assert max_jobs(wish) >= wish.jobs or not planned.fits


def as_told(line: str, config: VibeVoiceConfig) -> dict[str, Any]:
    option, value = line.split(":")[0].split(" ")
    match option:
        case "--jobs":
            return {"jobs": int(value)}
        case "--minutes":
            return {"minutes": float(value), "context": "full"}
        case "--memory":
            return {"memory_bytes": parse_size(value, "memory")}
        case "--kv-dtype":
            return {"has_int8_kv": value == "int8"}
        case "--dtype":
            quantization, kind = read_dtype(value)
            return {"config": replace(config, quantization=quantization), "dtype": kind}
        case _:
            return {option.removeprefix("--"): value}


@given(wishes)
def test_its_advice_is_true(wish: Wish) -> None:
    planned = plan_memory(wish)
    advice = list(remedies(planned))
    if planned.fits:
        assert advice == []
    for line in advice:
        changed = plan_memory(replace(wish, **as_told(line, wish.config)))
        assert changed.fits, (line, changed.reasons)
    if not planned.fits and wish.context != "full":
        assert advice or wish.jobs > MAX_ACTIVE


@given(wishes, st.integers(0, 1 << 36))
def test_more_memory_never_fits_less(wish: Wish, more: int) -> None:
    roomier = replace(wish, memory_bytes=wish.memory_bytes + more)
    assert plan_memory(roomier).fits or not plan_memory(wish).fits
    assert max_minutes(roomier) >= max_minutes(wish)
    assert max_jobs(roomier) >= max_jobs(wish)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        (None, "1.5b"),
        ("vibevoice-1.5b", "1.5b"),
        ("microsoft/VibeVoice-1.5B", "1.5b"),
        ("vibevoice-7b", "7b"),
        ("aoi-ot/VibeVoice-Large", "7b"),
        ("random:small", "small"),
    ],
)
def test_a_name_tells_the_shape(name: str | None, size: str) -> None:
    assert config_of(name) == CONFIGS[size]


def test_a_folder_is_read_and_an_unknown_name_is_told() -> None:
    assert config_of(str(golden.FOLDER)) == CONFIGS["tiny"]
    with pytest.raises(NotFoundError, match="random:NAME"):
        config_of("nobody/Knows-It")
    with pytest.raises(NotFoundError, match="random:tiny"):
        config_of("random:huge")
