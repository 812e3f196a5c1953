"""What quantized matrices, and keys and values in 8 bits, change in the golden runs. The last line is JSON.

Each golden case is spoken with the reference's tokens and noise, so that only numbers differ; what is spoken is fed
back, so errors add up over a run as they do in speech. Told are, of all cases together,

    hidden    relative error of the decoder's hidden states, |ours - theirs| / |theirs|
    latent    the same of the latents
    audio     signal to noise of the samples, in dB
    tokens    how often the model itself would have chosen the token of the reference

against the reference in float32, and against our own run in bfloat16. The weights are random: these are errors of the
arithmetic. What they are worth to the ear, and how far a trained model's outliers make them larger, only real weights
can tell. The toy's matrices have 64 and 160 columns; longer sums average errors out, so that it is no easy case.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from longtake.engines.vibevoice.decoding.runner import Runner
from longtake.engines.vibevoice.decoding.tokens import Scripted
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS
from longtake.engines.vibevoice.network.quantization import read_dtype
from longtake.engines.vibevoice.weights.checkpoint import load_model
from longtake.nn.affine import pack_all
from tests.support import golden
from tests.support.checkpoints import write_checkpoint
from tests.support.runs import CASES, Run, speak

TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# --dtype and --kv-dtype
KINDS = [
    ("fp32", "auto"),
    ("bf16", "auto"),
    ("bf16", "int8"),
    ("int8+bf16", "auto"),
    ("int8+bf16", "int8"),
    ("int8+head+bf16", "auto"),
    ("int4+bf16", "auto"),
    ("int4+head+bf16", "auto"),
    ("int8+fp32", "auto"),
    ("int4+fp32", "auto"),
    ("fp32", "int8"),
]


@dataclass(frozen=True, slots=True)
class Spoken:
    """All cases, one behind the other."""

    hidden: Tensor
    latent: Tensor
    audio: Tensor
    tokens: float = 1.0


def spoken(toy: Path, dtype: str, kv_dtype: str, device: str) -> Spoken:
    quantization, kind = read_dtype(dtype)
    codec = torch.float32 if kind == "fp16" else None
    model = load_model(toy, dtype=TYPES[kind], device=device, codec_dtype=codec, quantization=quantization)
    pack_all(model)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    chosen: list[bool] = []
    for name in sorted(CASES):
        runner = Runner(model, slots=1, has_int8_kv=kv_dtype == "int8")
        run = Run(name, runner)
        run.chooser = Scripted(run.tokens)
        speak(runner, run)
        frames = [outcome.frame for outcome in run.outcomes if outcome.frame is not None]
        if not CASES[name]["forced"]:
            favourites = [CONTROL_TOKENS[int(outcome.logits_4.argmax())] for outcome in run.outcomes]
            chosen += [ours == theirs for ours, theirs in zip(favourites, run.tokens, strict=True)]
        found.append(
            (
                torch.stack([outcome.hidden_H for outcome in run.outcomes]).float().cpu(),
                torch.stack([frame.latent_64 for frame in frames]).float().cpu(),
                torch.stack([frame.wave_T for frame in frames]).float().cpu(),
            )
        )
    hidden, latent, audio = (torch.cat([case[part] for case in found]) for part in range(3))
    return Spoken(hidden, latent, audio, sum(chosen) / len(chosen))


def reference() -> Spoken:
    cases = [golden.arrays(f"case_{name}") for name in sorted(CASES)]
    parts = ("step_hidden", "latent", "audio")
    hidden, latent, audio = (torch.cat([case[part].float() for case in cases]) for part in parts)
    return Spoken(hidden, latent, audio)


def errors(ours: Spoken, theirs: Spoken) -> tuple[float, float, float]:
    """Relative errors of hidden states and latents, and dB of the audio."""
    hidden, latent, audio = (
        float((getattr(ours, part) - getattr(theirs, part)).norm() / getattr(theirs, part).norm())
        for part in ("hidden", "latent", "audio")
    )
    return hidden, latent, -20 * float(torch.log10(torch.tensor(max(audio, 1e-9))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    theirs = reference()
    told: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        toy = write_checkpoint(Path(folder) / "toy")
        half = spoken(toy, "bf16", "auto", arguments.device)
        print("|   | hidden | latent | audio | tokens | hidden, to bf16 | latent, to bf16 | audio, to bf16 |")
        print("|---|---|---|---|---|---|---|---|")
        for dtype, kv_dtype in KINDS:
            ours = spoken(toy, dtype, kv_dtype, arguments.device)
            hidden, latent, audio = errors(ours, theirs)
            label = dtype if kv_dtype == "auto" else f"{dtype}, keys and values {kv_dtype}"
            told[label] = {"hidden": hidden, "latent": latent, "audio_db": audio, "tokens": ours.tokens}
            row = [f"{hidden:.1e}", f"{latent:.1e}", f"{audio:.0f} dB", f"{ours.tokens:.1%}"]
            if (dtype, kv_dtype) == ("bf16", "auto"):
                row += [""] * 3
            else:
                hidden, latent, audio = errors(ours, half)
                row += [f"{hidden:.1e}", f"{latent:.1e}", f"{audio:.0f} dB"]
                told[label] |= {"hidden_to_bf16": hidden, "latent_to_bf16": latent, "audio_db_to_bf16": audio}
            print(f"| {label} | {' | '.join(row)} |")
    print(json.dumps({"device": arguments.device, "errors": told}))


if __name__ == "__main__":
    main()
