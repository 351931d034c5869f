"""`Job`: one plan run by all its ranks, over threads, forked processes or a launcher's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from executor.channels.channel import Channel
from executor.channels.local_channel import LocalWorld
from executor.channels.packed import PackedChannel
from executor.channels.torch_channel import TorchChannel, wiring
from executor.errors import RankError
from executor.keeping.kept_share import KeptShare
from executor.keeping.run_folder import Keep, RunRecord, Start, agreed, claimed, opened
from executor.measuring.machine import versions
from executor.options import RunOptions
from executor.rank.bind import Rank
from executor.rank.part import part_of
from executor.rank.recorder import Recorder
from executor.rank.worker import Worker
from executor.weights import Weights
from executor.world.causes import tells_memory
from executor.world.fingerprint import facts
from executor.world.forked import on_local_ranks
from executor.world.process_group import World, device_of, joined
from executor.world.pulse import State, Told, untold
from models.errors import BlockcascadeError
from models.loaded import LoadedModel
from planner.action import Action, TimedAction
from planner.cost import costs
from planner.flow import Flow
from planner.memory import peak_bytes
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import Rows

# Ranks agree on a start this far ahead, so that all begin the clip at the same moment.
RUN_UP_NS = 5_000_000


Bring = Callable[[Sequence[Action]], LoadedModel]  # of a program, the model that can run it


class Share(NamedTuple):
    """What one rank made, as numpy arrays: they cross processes without shared memory."""

    rows: tuple[TimedAction, ...]
    frames: dict[int, Any]
    latents: dict[int, Any]
    start: Start | None = None


class Job(NamedTuple):
    """What every rank is told."""

    plan: Plan
    rows: Rows
    problem: Problem
    weights: Weights
    prompts: tuple[str, ...]
    seed: int
    options: RunOptions
    keep: Keep | None = None
    start: Start | None = None

    @property
    def flow(self) -> Flow:
        ticks = self.plan.switch_ticks if self.start is None else self.start.switch_ticks
        return Flow(self.problem, self.plan.pattern, Placement.parse(self.plan.placement), ticks)

    def here(self, ranks: Literal["processes", "threads"]) -> list[Share]:
        """Runs all ranks on this machine."""
        job, size = self, len(self.plan.ranks)
        with claimed(self.keep):
            if self.keep is not None:
                start = opened(self.keep, self.record(self.keep), self.flow, self.weights.dtype)
                job = self._replace(start=start)
                if start.cut.block >= self.flow.blocks:
                    return [Share((), {}, {}, start)] * size
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
            weights=self.weights.digest,
            save_every=keep.every,
            options={**self.options.model_dump(), "kv_transfer": self.problem.kv_transfer},
            software=versions(),
        )

    def on_world(self, world: World) -> list[Share] | None:
        """Runs this process's rank in a `torch.distributed` world; all shares on rank 0."""
        device = device_of(self.problem.cluster.devices[world.rank].kind, world.local_rank)
        claims = world.rank == 0 and self.start is None
        with joined(world, device, self.facts) as pulse, claimed(self.keep if claims else None):
            channel = TorchChannel(wiring(self.rows, self.flow))
            job = self
            if self.keep is not None and self.start is None:
                keep = self.keep.again(world.restarts)
                start = agreed(keep, self.record(keep), self.flow, self.weights.dtype, channel)
                job = self._replace(start=start)
            share = job.run(channel, lambda program: job.model_on(device, channel, program), pulse.told)
            pulse.enter(State.GATHERS)
            return channel.gather(share)

    def model_on(self, device: torch.device, channel: Channel, program: Sequence[Action]) -> LoadedModel:
        """The model on a rank's device, ready to run."""
        flow = self.flow
        part = part_of(channel.rank, self.problem, flow)
        model = self.weights.on(device, channel, part, program, self.prompts, encodes=flow.encodes_text)
        self.options.apply(model)
        return model

    def facts(self) -> dict[str, str]:
        """What all ranks of a launcher must have in common."""
        return facts(self.plan, self.problem, self.weights.digest, prompts=self.prompts, seed=self.seed)

    def on_threads(self) -> list[Share]:
        """Runs all ranks as threads of this process."""
        size = len(self.plan.ranks)
        local, shares, errors = LocalWorld(size), dict[int, Share](), list[BaseException]()
        model = self.weights.loaded()
        self.options.apply(model)

        def main(rank: int) -> None:
            try:
                shares[rank] = self.run(local.channel(rank), lambda _: model)
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

    def run(self, channel: Channel, bring: Bring, told: Told = untold) -> Share:
        """Walks one rank's program with the model that is brought for it."""
        program, flow = [row.action for row in self.rows[channel.rank]], self.flow
        if self.options.packs(self.problem):
            channel = PackedChannel(channel)
        kept = None
        if self.keep is not None and self.start is not None:
            if self.start.cut.block >= flow.blocks:
                return Share((), {}, {}, self.start)
            kept = KeptShare(self.keep, self.start, flow, channel.rank, program)
            program = kept.program
        with tells_memory(channel.rank, lambda: self.memory(channel.rank, program, flow)):
            model = bring(program)
            fused = self.options.fuses(model.wan.device)
            rank = Rank(model, self.problem, flow, channel, program, prompts=self.prompts, seed=self.seed, fused=fused)
            rank.warm_up()
            with nullcontext() if kept is None else kept.keeping(rank) as made:
                recorder = Recorder(rank.device, common_start_ns(channel))
                ways = channel if kept is None else kept.channel(channel, rank)
                rows = Worker(rank, ways, recorder, flow, told, made).walk(program)
        if kept is not None:
            return Share(kept.rows(rows), {}, {}, self.start)
        return Share(rows, _to_numpy(rank.frames), {} if flow.decodes else _to_numpy(rank.latents))

    def memory(self, rank: int, program: Sequence[Action], flow: Flow) -> tuple[int, int]:
        """Bytes that the plan needs on a rank, and that its device has."""
        return peak_bytes(program, costs(self.problem, flow)), self.problem.cluster.devices[rank].memory_bytes


def common_start_ns(channel: Channel) -> int:
    """A moment that every rank waits for, on this rank's monotonic clock, nanoseconds.

    Ranks agree on it in wall-clock time, so between machines it is as exact as their clocks are.
    """
    channel.barrier()
    wall_ns: int = channel.broadcast(time.time_ns() + RUN_UP_NS)
    start_ns = time.monotonic_ns() + wall_ns - time.time_ns()
    time.sleep(max(0, start_ns - time.monotonic_ns()) / 1e9)
    return start_ns


def _to_numpy(tensors: dict[int, Tensor]) -> dict[int, Any]:
    return {key: tensor.cpu().numpy() for key, tensor in tensors.items()}
