"""Every border of every commit × everything that can happen there: the job ends done, with the very same audio.

All of it is `make chaos`; `make test` takes a cut of a minute. docs/adr/0013-fail-points.md tells what each is for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from longtake.core.failpoints import POINTS, Action
from tests.support.ordeal import Ordeal
from tests.support.recordings import voice, write_file

IS_WHOLE = bool(os.environ.get("LONGTAKE_CHAOS"))
ACTIONS = tuple(Action)
AGAIN_POINTS = ("take", "links", "cut", "forget")  # on the way of `resume --from` alone
SPEAK = [point for point in POINTS if not point.startswith(AGAIN_POINTS)]
AGAIN = [point for point in POINTS if point.startswith(AGAIN_POINTS)]
ALL = [(point, action) for point in SPEAK for action in ACTIONS]
# In the cut every point meets one action, and over all points each action comes in turn.
CUT = [(point, ACTIONS[number % len(ACTIONS)]) for number, point in enumerate(SPEAK)]
ALL_AGAIN = [(point, action) for point in AGAIN for action in ACTIONS]
CUT_AGAIN = [("links-kept", Action.KILL), ("cut-committed", Action.KILL), ("forget-committed", Action.KILL)]
VIBEVOICE_CUT = [("row-committed", Action.KILL)]

SCRIPT = """Alice: The sea was calm that night.
Bob: It was not. I remember it well, and I was there.
[pause 0.5s]
Alice: Then who wrote the log?
Bob: Nobody told me.
"""
# Some 25 s: three stretches.
NEURAL_SCRIPT = """Alice: The sea was calm that night, and nobody slept, for the moon stood over the water like a lamp.
Bob: It was not calm. I remember it well, because I held the wheel, and the spray came over the rail all night long.
Alice: You held nothing but your hat, my friend, and in the morning even that was gone; I have it in the log.
"""
TOLERANCE = 33  # 1e-3 of full scale, in int16

Begin = Callable[[Path], Ordeal]


@pytest.fixture(scope="module")
def espeak(tmp_path_factory: pytest.TempPathFactory) -> tuple[Begin, bytes]:
    """How to begin, and what an undisturbed run makes of it."""
    home = tmp_path_factory.mktemp("espeak")
    script = home / "script.txt"
    script.write_text(SCRIPT, encoding="utf-8")

    def begin(root: Path) -> Ordeal:
        return Ordeal(root, script)

    calm = begin(home / "calm")
    calm.speak()
    calm.require_order()
    return begin, calm.out.read_bytes()


@pytest.fixture(scope="module")
def vibevoice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Begin, Ordeal]:
    home = tmp_path_factory.mktemp("vibevoice")
    script = home / "script.txt"
    script.write_text(NEURAL_SCRIPT, encoding="utf-8")
    voices = [f"--voice={n}={write_file(home / f'v{n}.wav', voice(2.5 + n, pitch_hz=90.0 * n))}" for n in (1, 2)]
    options = ["--engine", "vibevoice", "--model", "random:tiny", "--device", "cpu", "--dtype", "fp32"]

    def begin(root: Path) -> Ordeal:
        return Ordeal(root, script, [*options, "--steps", "2", "--seed", "7", *voices])

    calm = begin(home / "calm")
    calm.speak()
    calm.require_order()
    return begin, calm


@pytest.mark.parametrize(("point", "action"), ALL if IS_WHOLE else CUT)
def test_espeak(point: str, action: Action, espeak: tuple[Begin, bytes], tmp_path: Path) -> None:
    begin, calm = espeak
    ordeal = begin(tmp_path)
    ordeal.speak(f"{point}:{action}")
    assert ordeal.fired.exists(), f"nobody came to {point}"
    ordeal.require_order()
    assert ordeal.out.read_bytes() == calm


@pytest.mark.parametrize(("point", "action"), ALL_AGAIN if IS_WHOLE else CUT_AGAIN)
def test_again_from_here(point: str, action: Action, espeak: tuple[Begin, bytes], tmp_path: Path) -> None:
    """espeak knows no other take: whatever happens, the audio is the same, and of the earlier version nothing stays."""
    begin, calm = espeak
    ordeal = begin(tmp_path)
    ordeal.speak()
    ordeal.speak_again("0:06", f"{point}:{action}")
    assert ordeal.fired.exists(), f"nobody came to {point}"
    ordeal.require_order()
    assert ordeal.out.read_bytes() == calm


@pytest.mark.parametrize(("point", "action"), ALL if IS_WHOLE else VIBEVOICE_CUT)
def test_vibevoice(point: str, action: Action, vibevoice: tuple[Begin, Ordeal], tmp_path: Path) -> None:
    begin, calm = vibevoice
    ordeal = begin(tmp_path)
    # The second time where there is one: in the middle of a passage.
    ordeal.speak(f"{point}:{action}:2" if point.startswith(("stretch", "row")) else f"{point}:{action}")
    assert ordeal.fired.exists(), f"nobody came to {point}"
    ordeal.require_order()
    assert ordeal.samples().shape == calm.samples().shape
    kept = ordeal.kept_samples()
    assert np.array_equal(ordeal.samples()[:kept], calm.samples()[:kept]), "up to the last commit, byte for byte"
    off = np.abs(ordeal.samples().astype(np.int32) - calm.samples())
    assert off.max() <= TOLERANCE
