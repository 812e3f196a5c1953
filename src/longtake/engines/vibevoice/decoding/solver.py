"""DPM-Solver++ as a table of constants, and the guided loop that uses it. Knows no request, no frame, no seed.

The solver: order 2, midpoint, predicting v, on a cosine schedule of 1000 training steps that ends at sigma 0, first
order at its first and last step (Lu et al. 2022, arXiv 2211.01095; values: tests/golden/vibevoice/README.md). Constants
are made in float64; betas, cumulative alphas and sigmas are rounded to float32 where the reference does it.

Shape suffixes: B rows, S steps, H hidden size of the head, 64 the latent.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from longtake.core.errors import InputError, InvariantError
from longtake.engines.vibevoice.network.head import DiffusionHead

TRAINING_STEPS = 1000
MAX_STEPS = 100


class Solver(StrEnum):
    ODE = "dpmsolver++"
    SDE = "sde-dpmsolver++"


@dataclass(frozen=True, slots=True)
class SolverTable:
    """The constants of one solver with one number of steps S.

    Attributes:
        timesteps: S of 0 … 999, descending.
        sigmas: S + 1 noise levels sqrt((1 - a) / a), the last 0.
        x0_coefs: Per step (c0, c1): x0 = c0 · x + c1 · v.
        step_coefs: Per step (c0, c1, c2, c3): next x = c0 · x + c1 · x0 + c2 · previous x0 + c3 · noise.
    """

    solver: Solver
    timesteps: tuple[int, ...]
    sigmas: tuple[float, ...]
    x0_coefs: tuple[tuple[float, float], ...]
    step_coefs: tuple[tuple[float, float, float, float], ...]

    @property
    def steps(self) -> int:
        return len(self.timesteps)


@dataclass(frozen=True, slots=True, eq=False)
class SolverStep:
    """What one step made, all float32 (B, 64).

    Attributes:
        x_B64: The state after the step.
        x0_B64: The clean latent as this step sees it.
        v_pos_B64, v_neg_B64, v_B64: Velocity with the text, without it, and guided.
    """

    x_B64: Tensor
    x0_B64: Tensor
    v_pos_B64: Tensor
    v_neg_B64: Tensor
    v_B64: Tensor


def sample(
    head: DiffusionHead,
    table: SolverTable,
    cond_pos_BH: Tensor,
    cond_neg_BH: Tensor,
    noise_B64: Tensor,
    guidance_B: Tensor,
    step_noise_BS64: Tensor | None = None,
    t_embeds_SH: Tensor | None = None,
) -> Tensor:
    """Draw one latent per row: `trajectory` to its end, with its arguments and errors.

    Returns:
        Latents in scaled space, (B, 64) float32.
    """
    x_B64 = noise_B64
    steps = trajectory(head, table, cond_pos_BH, cond_neg_BH, noise_B64, guidance_B, step_noise_BS64, t_embeds_SH)
    for step in steps:
        x_B64 = step.x_B64
    return x_B64


def trajectory(
    head: DiffusionHead,
    table: SolverTable,
    cond_pos_BH: Tensor,
    cond_neg_BH: Tensor,
    noise_B64: Tensor,
    guidance_B: Tensor,
    step_noise_BS64: Tensor | None = None,
    t_embeds_SH: Tensor | None = None,
) -> Iterator[SolverStep]:
    """Yield every step of the guided loop. Both branches are one batch of 2B, only one copy of the state is stepped.

    The state is float32 whatever the head's type; nothing here waits for the device.

    Args:
        cond_pos_BH, cond_neg_BH: Hidden states of both branches, in the head's type.
        noise_B64: Where the rows begin: normal noise, float32.
        guidance_B: Strength per row: v = v_neg + guidance · (v_pos - v_neg). 1 is no guidance.
        step_noise_BS64: Normal noise of every step, float32; for the stochastic solver only. The last has weight 0.
        t_embeds_SH: `time_embeddings` of the table, where they were kept.

    Raises:
        InvariantError: The stochastic solver was given no noise for its steps, or the other one was.
    """
    if (step_noise_BS64 is not None) != (table.solver == Solver.SDE):
        given = "no noise" if step_noise_BS64 is None else "noise"
        raise InvariantError(f"{table.solver} was given {given} for its steps; only {Solver.SDE} takes and needs it.")
    if t_embeds_SH is None:
        t_embeds_SH = time_embeddings(head, table)
    modulation_SBM = head.modulate(torch.cat((cond_pos_BH, cond_neg_BH)), t_embeds_SH)
    guidance_B1 = guidance_B[:, None].float()
    x_B64 = noise_B64.float()
    previous_B64 = x_B64  # which the first step has not, and does not ask for
    for index, ((from_x, from_v), coefs) in enumerate(zip(table.x0_coefs, table.step_coefs, strict=True)):
        v_pos_B64, v_neg_B64 = head(torch.cat((x_B64, x_B64)), modulation_SBM[index]).float().chunk(2)
        v_B64 = torch.lerp(v_neg_B64, v_pos_B64, guidance_B1)
        x0_B64 = torch.add(from_x * x_B64, v_B64, alpha=from_v)
        x_B64 = torch.add(coefs[0] * x_B64, x0_B64, alpha=coefs[1])
        if index:
            x_B64.add_(previous_B64, alpha=coefs[2])
        if step_noise_BS64 is not None:
            x_B64.add_(step_noise_BS64[:, index], alpha=coefs[3])
        previous_B64 = x0_B64
        yield SolverStep(x_B64, x0_B64, v_pos_B64, v_neg_B64, v_B64)


def time_embeddings(head: DiffusionHead, table: SolverTable) -> Tensor:
    """The head's embeddings of a table's timesteps, (S, H): the same for every frame."""
    return head.time_embedding(torch.tensor(table.timesteps, device="cpu").to(head.device, non_blocking=True))


@functools.cache
def solver_table(steps: int, solver: Solver) -> SolverTable:
    """The constants of that many steps; made once, at most 100 · 2 of them.

    Raises:
        InputError: Fewer than 1 or more than 100 steps.
    """
    if not 1 <= steps <= MAX_STEPS:
        raise InputError(
            f"{steps} diffusion steps were asked for; give a whole number from 1 to {MAX_STEPS}. 10 is usual.",
            code="diffusion_steps_out_of_range",
            param="steps",
        )
    # `round` of numpy takes halves to the even neighbour, like the reference: 499.5 becomes 500.
    timesteps = np.linspace(0, TRAINING_STEPS - 1, steps + 1).round()[:0:-1].astype(np.int64)
    cumulative = cumulative_alphas()[timesteps]
    sigmas = np.append(np.sqrt((1 - cumulative) / cumulative), np.float32(0))
    noise = sigmas.astype(np.float64)
    alpha = 1 / np.sqrt(noise**2 + 1)
    return SolverTable(
        solver=solver,
        timesteps=tuple(timesteps.tolist()),
        sigmas=tuple(noise.tolist()),
        x0_coefs=tuple((float(a), float(-s * a)) for a, s in zip(alpha[:-1], noise[:-1], strict=True)),
        step_coefs=tuple(_step_coefs(noise.tolist(), index, solver) for index in range(steps)),
    )


def _step_coefs(sigmas: list[float], index: int, solver: Solver) -> tuple[float, float, float, float]:
    """Coefficients of x, x0, previous x0 and noise for the step from `sigmas[index]` to the next level."""
    if index == len(sigmas) - 2:
        return 0.0, 1.0, 0.0, 0.0  # sigma becomes 0, and what is left is x0 itself
    here, there = sigmas[index], sigmas[index + 1]
    alpha = 1 / math.sqrt(there**2 + 1)
    sigma = there * alpha
    h = math.log(here / there)  # lambda is log alpha - log sigma, which is -log of the level
    shrink = sigma / (here / math.sqrt(here**2 + 1))
    if solver == Solver.ODE:
        keep, gain, noise = shrink, -alpha * math.expm1(-h), 0.0
    else:
        rest = -math.expm1(-2 * h)
        keep, gain, noise = shrink * math.exp(-h), alpha * rest, sigma * math.sqrt(rest)
    if index == 0:
        return keep, gain, 0.0, noise
    ratio = math.log(sigmas[index - 1] / here) / h
    return keep, gain * (1 + 0.5 / ratio), -gain * 0.5 / ratio, noise


def betas() -> NDArray[np.float32]:
    """The cosine schedule, (1000,): beta_i = min(1 - f((i + 1) / 1000) / f(i / 1000), 0.999)."""
    f: NDArray[np.float64] = np.cos((np.arange(TRAINING_STEPS + 1) / TRAINING_STEPS + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.minimum(1 - f[1:] / f[:-1], 0.999).astype(np.float32)


def cumulative_alphas() -> NDArray[np.float32]:
    """The part of the signal's power that is left at each timestep, (1000,)."""
    product: NDArray[np.float64] = np.cumprod(1 - betas(), dtype=np.float64)
    return product.astype(np.float32)
