"""`execute()`: runs a plan's ranks, gathers what they made, and returns the clip with its measured trace.

Under `torchrun` every process calls `execute` and rank 0 gets the result; otherwise local ranks are forked here, or
run as threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from executor.bind import Rank
from executor.causes import tells_memory
from executor.channel import Channel, LocalWorld, TorchChannel
from executor.errors import RankError, WorldError
from executor.executable import require_executable
from executor.fingerprint import facts
from executor.forked import on_local_ranks
from executor.process_group import World, device_of, from_environment, joined
from executor.pulse import State, Told, untold
from executor.recorder import Recorder
from executor.worker import Worker
from models.errors import BlockcascadeError
from models.loaded import LoadedModel
from planner.action import Action, Kind, TimedAction
from planner.check import check
from planner.cost import costs
from planner.flow import Flow
from planner.memory import peak_bytes
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.trace import Trace

# Ranks agree on a start this far ahead, so that all begin the clip at the same moment.
RUN_UP_NS = 5_000_000


class Clip(NamedTuple):
    """What a plan's execution made: pixel frames [F, H, W, 3] uint8 if it decodes, else None; latents if it does not.

    `latents` holds each block's clean latents [C, T, h, w], in order.
    """

    frames: Tensor | None
    latents: list[Tensor]
    trace: Trace


class _Share(NamedTuple):
    """What one rank made, as numpy arrays: they cross processes without shared memory."""

    rows: tuple[TimedAction, ...]
    frames: dict[int, Any]
    latents: dict[int, Any]


def execute(
    plan: Plan,
    problem: Problem,
    model: LoadedModel,
    *,
    prompt: str,
    seed: int = 0,
    ranks: Literal["processes", "threads"] = "processes",
) -> Clip | None:
    """The clip that the plan makes of the prompt, and when each action really ran; None on ranks other than 0.

    The plan is checked first. Raises MismatchError for a plan of another problem, CheckError for a plan that breaks
    the rules, PromptError for a prompt the model cannot read, WorldError if the plan holds what cannot be executed yet
    or the world has another size than the plan, RankError if a rank fails.
    """
    plan.require(problem)
    require_executable(plan, problem)
    check(plan, problem)
    if model.spec != problem.model:
        raise WorldError(f"the plan is for model {problem.model.name}, the weights are {model.spec.name}'s")
    model.embed_prompt(prompt)
    job = _Job(plan, problem, model, prompt, seed)
    world = from_environment()
    if world is not None:
        if world.size != len(plan.ranks):
            raise WorldError(f"the plan has {len(plan.ranks)} ranks, torchrun started {world.size}")
        shares = job.on_world(world)
    elif ranks == "threads":
        shares = job.on_threads()
    else:
        shares = on_local_ranks(len(plan.ranks), job.on_world)[0]
    return None if shares is None else _join(plan, shares)


class _Job(NamedTuple):
    plan: Plan
    problem: Problem
    model: LoadedModel
    prompt: str
    seed: int

    def on_world(self, world: World) -> list[_Share] | None:
        """Runs this process's rank in a `torch.distributed` world; all shares on rank 0."""
        device = device_of(self.problem.cluster.devices[world.rank].kind, world.local_rank)
        with joined(world, device, self.facts) as pulse:
            channel = TorchChannel(*_wiring(self.plan))
            share = self.run(channel, self.model.to(device), pulse.told)
            pulse.enter(State.GATHERS)
            return channel.gather(share)

    def facts(self) -> dict[str, str]:
        """What all ranks of a launcher must have in common."""
        return facts(self.plan, self.problem, self.model, prompts=[self.prompt], seed=self.seed)

    def on_threads(self) -> list[_Share]:
        """Runs all ranks as threads of this process."""
        size = len(self.plan.ranks)
        local, shares, errors = LocalWorld(size), dict[int, _Share](), list[BaseException]()

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
        program = [row.action for row in self.plan.ranks[channel.rank]]
        flow = Flow(self.problem, self.plan.pattern, Placement.parse(self.plan.placement))
        with tells_memory(channel.rank, lambda: self.memory(channel.rank, program, flow)):
            rank = Rank(model, self.prompt, self.seed, flow, program)
            rank.warm_up()
            recorder = Recorder(rank.device, common_start_ns(channel))
            rows = Worker(rank, channel, recorder, flow, told).walk(program)
        return _Share(rows, _to_numpy(rank.frames), {} if rank.frames else _to_numpy(rank.latents))

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


def _wiring(plan: Plan) -> tuple[list[tuple[int, int]], dict[Any, int]]:
    """The directed links a plan uses, and a message tag for each payload: the same on all ranks."""
    sends = [(rank, row.action) for rank, rows in enumerate(plan.ranks) for row in rows if row.action.kind is Kind.SEND]
    links = sorted({(rank, action.peer) for rank, action in sends if action.peer is not None})
    payloads = sorted({action.payload for _, action in sends}, key=str)
    return links, {payload: tag for tag, payload in enumerate(payloads)}


def _join(plan: Plan, shares: list[_Share]) -> Clip:
    frames = {block: part for share in shares for block, part in share.frames.items()}
    latents = {block: part for share in shares for block, part in share.latents.items()}
    trace = Trace(
        plan_digest=plan.digest,
        kind="measured",
        last_step=plan.last_step,
        ranks=tuple(share.rows for share in shares),
    )
    video = torch.from_numpy(np.concatenate([frames[b] for b in sorted(frames)])) if frames else None
    return Clip(video, [torch.from_numpy(latents[b]) for b in sorted(latents)], trace)


def _to_numpy(tensors: dict[int, Tensor]) -> dict[int, Any]:
    return {key: tensor.cpu().numpy() for key, tensor in tensors.items()}
