"""`execute()`: runs a plan's ranks, gathers what they made, and returns the clip with its measured trace.

Under `torchrun` every process calls `execute` and rank 0 gets the result; otherwise local ranks are forked here, or
run as threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from executor.errors import WorldError
from executor.executable import require_executable
from executor.job import Job, Share
from executor.keeping.kept_share import ended
from executor.keeping.run_folder import Keep, Start
from executor.options import RunOptions
from executor.weights import Weights
from executor.world.process_group import from_environment
from models.errors import PromptError
from models.loaded import LoadedModel
from models.source import ModelSource
from planner.check import check
from planner.plan import Plan
from planner.problem import Problem
from planner.streams.unroll import unroll
from planner.trace import Trace


class Clip(NamedTuple):
    """What a plan's execution made: pixel frames [F, H, W, 3] uint8 if it decodes, else None; latents if it does not.

    `latents` holds each block's clean latents [C, T, h, w], in order. `start`: from where the run went on, if it is
    kept in a folder; the trace then has what was left to do.
    """

    frames: Tensor | None
    latents: list[Tensor]
    trace: Trace
    start: Start | None = None


def execute(
    plan: Plan,
    problem: Problem,
    model: LoadedModel | ModelSource,
    *,
    prompts: str | Sequence[str],
    seed: int = 0,
    ranks: Literal["processes", "threads"] = "processes",
    keep: Keep | None = None,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen value
) -> Clip | None:
    """The clip that the plan makes of the prompts, and when each action really ran; None on ranks other than 0.

    `model`: loaded, or where it lies; then each rank loads what it runs, onto its device. `prompts`: one, or one more
    than the workload has switches. `keep`: a folder for finished blocks and the state to
    go on from; ranks that a launcher has started anew go on by themselves. The plan is checked first. Raises
    MismatchError for a plan of another problem, CheckError for a plan that breaks the rules, PromptError for a prompt
    the model cannot read or another number of prompts, WorldError if the plan holds what cannot be executed yet or the
    world has another size than the plan, StateError if the folder cannot be used or holds another run, RankError if a
    rank fails.
    """
    plan.require(problem)
    require_executable(plan, problem)
    check(plan, problem)
    if model.spec != problem.model:
        raise WorldError(f"the plan is for model {problem.model.name}, the weights are {model.spec.name}'s")
    read, world = _prompts(prompts, problem), from_environment()
    options.check()
    on_cpu = all(device.kind.startswith("cpu") for device in problem.cluster.devices)
    weights = Weights.of(model, here=world is None and (on_cpu or ranks == "threads"))
    if isinstance(weights.model, LoadedModel):
        for prompt in read:
            weights.model.embed_prompt(prompt)
    job = Job(plan, unroll(plan), problem, weights, read, seed, options, keep)
    if world is not None and world.size != len(plan.ranks):
        raise WorldError(
            f"the plan has {len(plan.ranks)} ranks, torchrun started {world.size}; start as many, or plan for these"
        )
    shares = job.here(ranks) if world is None else job.on_world(world)
    return None if shares is None else _join(job, shares)


def _prompts(prompts: str | Sequence[str], problem: Problem) -> tuple[str, ...]:
    given = (prompts,) if isinstance(prompts, str) else tuple(prompts)
    wanted = 1 + len(problem.workload.switches)
    if len(given) != wanted:
        raise PromptError(f"the workload reads {wanted} prompt(s), one more than it has switches, not {len(given)}")
    return given


def _join(job: Job, shares: list[Share]) -> Clip:
    trace = Trace(
        plan_digest=job.plan.digest,
        kind="measured",
        last_step=job.plan.last_step,
        ranks=tuple(share.rows for share in shares),
    )
    start = shares[0].start
    if job.keep is not None and start is not None:
        return Clip(*ended(job.keep, start, job.flow), trace, start)
    frames = {block: part for share in shares for block, part in share.frames.items()}
    latents = {block: part for share in shares for block, part in share.latents.items()}
    video = torch.from_numpy(np.concatenate([frames[b] for b in sorted(frames)])) if frames else None
    return Clip(video, [torch.from_numpy(latents[b]) for b in sorted(latents)], trace)
