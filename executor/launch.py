"""`execute()`: runs a plan's ranks, gathers what they made, and returns the clip with its measured trace.

Under `torchrun` every process calls `execute` and rank 0 gets the result; otherwise local ranks are forked here, or
run as threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from executor.bind import Rank
from executor.causes import tells_memory
from executor.channel import Channel
from executor.errors import RankError, WorldError
from executor.executable import require_executable
from executor.fingerprint import facts, fingerprint
from executor.forked import on_local_ranks
from executor.kept_share import KeptShare, ended
from executor.local_channel import LocalWorld
from executor.options import RunOptions
from executor.packed import PackedChannel
from executor.process_group import World, device_of, from_environment, joined
from executor.pulse import State, Told, untold
from executor.recorder import Recorder
from executor.run_folder import Keep, RunRecord, Start, agreed, opened
from executor.torch_channel import TorchChannel, wiring
from executor.worker import Worker
from models.errors import BlockcascadeError, PromptError
from models.loaded import LoadedModel
from planner.action import Action, TimedAction
from planner.check import check
from planner.cost import costs
from planner.flow import Flow
from planner.memory import peak_bytes
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import Rows
from planner.trace import Trace
from planner.unroll import unroll

# Ranks agree on a start this far ahead, so that all begin the clip at the same moment.
RUN_UP_NS = 5_000_000


class Clip(NamedTuple):
    """What a plan's execution made: pixel frames [F, H, W, 3] uint8 if it decodes, else None; latents if it does not.

    `latents` holds each block's clean latents [C, T, h, w], in order. `start`: from where the run went on, if it is
    kept in a folder; the trace then has what was left to do.
    """

    frames: Tensor | None
    latents: list[Tensor]
    trace: Trace
    start: Start | None = None


class _Share(NamedTuple):
    """What one rank made, as numpy arrays: they cross processes without shared memory."""

    rows: tuple[TimedAction, ...]
    frames: dict[int, Any]
    latents: dict[int, Any]
    start: Start | None = None


def execute(
    plan: Plan,
    problem: Problem,
    model: LoadedModel,
    *,
    prompts: str | Sequence[str],
    seed: int = 0,
    ranks: Literal["processes", "threads"] = "processes",
    keep: Keep | None = None,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen value
) -> Clip | None:
    """The clip that the plan makes of the prompts, and when each action really ran; None on ranks other than 0.

    `prompts`: one, or one more than the workload has switches. `keep`: a folder for finished blocks and the state to
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
    read = _prompts(prompts, problem)
    for prompt in read:
        model.embed_prompt(prompt)
    job = _Job(plan, unroll(plan), problem, model, read, seed, options, keep)
    world = from_environment()
    if world is not None:
        if world.size != len(plan.ranks):
            raise WorldError(f"the plan has {len(plan.ranks)} ranks, torchrun started {world.size}")
        shares = job.on_world(world)
    else:
        shares = job.here(ranks)
    return None if shares is None else _join(job, shares)


def _prompts(prompts: str | Sequence[str], problem: Problem) -> tuple[str, ...]:
    given = (prompts,) if isinstance(prompts, str) else tuple(prompts)
    wanted = 1 + len(problem.workload.switches)
    if len(given) != wanted:
        raise PromptError(f"the workload reads {wanted} prompt(s), one more than it has switches, not {len(given)}")
    return given


class _Job(NamedTuple):
    plan: Plan
    rows: Rows
    problem: Problem
    model: LoadedModel
    prompts: tuple[str, ...]
    seed: int
    options: RunOptions
    keep: Keep | None = None
    start: Start | None = None

    @property
    def flow(self) -> Flow:
        ticks = self.plan.switch_ticks if self.start is None else self.start.switch_ticks
        return Flow(self.problem, self.plan.pattern, Placement.parse(self.plan.placement), ticks)

    def here(self, ranks: Literal["processes", "threads"]) -> list[_Share]:
        """Runs all ranks on this machine."""
        job, size = self, len(self.plan.ranks)
        if self.keep is not None:
            start = opened(self.keep, self.record(self.keep), self.flow, self.model.wan.dtype)
            job = self._replace(start=start)
            if start.cut.block >= self.flow.blocks:
                return [_Share((), {}, {}, start)] * size
        return job.on_threads() if ranks == "threads" else on_local_ranks(size, job.on_world)[0] or []

    def record(self, keep: Keep) -> RunRecord:
        """What another run must have in common with this one to go on with it."""
        return RunRecord(
            model=self.problem.model,
            workload=self.problem.workload,
            pattern=self.plan.pattern,
            switch_ticks=self.plan.switch_ticks,
            prompts=self.prompts,
            seed=self.seed,
            weights=fingerprint({"wan": self.model.wan, "vae": self.model.vae}),
            save_every=keep.every,
            options={**self.options.model_dump(), "kv_transfer": self.problem.kv_transfer},
        )

    def on_world(self, world: World) -> list[_Share] | None:
        """Runs this process's rank in a `torch.distributed` world; all shares on rank 0."""
        device = device_of(self.problem.cluster.devices[world.rank].kind, world.local_rank)
        with joined(world, device, self.facts) as pulse:
            channel = TorchChannel(wiring(self.rows, self.flow))
            job = self
            if self.keep is not None and self.start is None:
                keep = self.keep.again(world.restarts)
                start = agreed(keep, self.record(keep), self.flow, self.model.wan.dtype, channel)
                job = self._replace(start=start)
            model = self.model.to(device)
            self.options.apply(model)
            share = job.run(channel, model, pulse.told)
            pulse.enter(State.GATHERS)
            return channel.gather(share)

    def facts(self) -> dict[str, str]:
        """What all ranks of a launcher must have in common."""
        return facts(self.plan, self.problem, self.model, prompts=self.prompts, seed=self.seed)

    def on_threads(self) -> list[_Share]:
        """Runs all ranks as threads of this process."""
        size = len(self.plan.ranks)
        local, shares, errors = LocalWorld(size), dict[int, _Share](), list[BaseException]()
        self.options.apply(self.model)

        def main(rank: int) -> None:
            try:
                shares[rank] = self.run(local.channel(rank), self.model)
            except BaseException as error:
                errors.append(error)
                local.fail()

        threads = [threading.Thread(target=main, args=(rank,), daemon=True) for rank in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            first = errors[0]
            raise first if isinstance(first, BlockcascadeError) else RankError(f"{type(first).__name__}: {first}")
        return [shares[rank] for rank in range(size)]

    def run(self, channel: Channel, model: LoadedModel, told: Told = untold) -> _Share:
        """Walks one rank's program."""
        program, flow = [row.action for row in self.rows[channel.rank]], self.flow
        if self.options.packs(self.problem):
            channel = PackedChannel(channel)
        kept = None
        if self.keep is not None and self.start is not None:
            if self.start.cut.block >= flow.blocks:
                return _Share((), {}, {}, self.start)
            kept = KeptShare(self.keep, self.start, flow, channel.rank, program)
            program = kept.program
        with tells_memory(channel.rank, lambda: self.memory(channel.rank, program, flow)):
            fused = self.options.fuses(model.wan.device)
            rank = Rank(model, self.problem, flow, channel, program, prompts=self.prompts, seed=self.seed, fused=fused)
            rank.warm_up()
            with nullcontext() if kept is None else kept.keeping(rank) as made:
                recorder = Recorder(rank.device, common_start_ns(channel))
                ways = channel if kept is None else kept.channel(channel, rank)
                rows = Worker(rank, ways, recorder, flow, told, made).walk(program)
        if kept is not None:
            return _Share(kept.rows(rows), {}, {}, self.start)
        return _Share(rows, _to_numpy(rank.frames), {} if flow.decodes else _to_numpy(rank.latents))

    def memory(self, rank: int, program: Sequence[Action], flow: Flow) -> tuple[int, int]:
        """Bytes that the plan needs on a rank, and that its device has."""
        return peak_bytes(program, costs(self.problem, flow)), self.problem.cluster.devices[rank].memory_bytes


def common_start_ns(channel: Channel) -> int:
    """A moment that every rank waits for, on this rank's monotonic clock, nanoseconds.

    Ranks agree on it in wall-clock time, so between machines it is as exact as their clocks are.
    """
    channel.barrier()
    wall_ns = channel.broadcast(time.time_ns() + RUN_UP_NS)
    start_ns = time.monotonic_ns() + wall_ns - time.time_ns()
    time.sleep(max(0, start_ns - time.monotonic_ns()) / 1e9)
    return start_ns


def _join(job: _Job, shares: list[_Share]) -> Clip:
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


def _to_numpy(tensors: dict[int, Tensor]) -> dict[int, Any]:
    return {key: tensor.cpu().numpy() for key, tensor in tensors.items()}
