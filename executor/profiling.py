"""`profile()`: times a model on one device, beside as many busy ranks as the plan will have.

Each rank runs the same one-rank sequential clip several times, all at once, and a link is timed between two of them.
So a pass is measured in the very loop that will run it, with the memory traffic of its neighbours.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from executor.bind import Rank
from executor.channel import Channel, LocalWorld, TorchChannel
from executor.errors import WorldError
from executor.forked import on_local_ranks
from executor.launch import common_start_ns
from executor.process_group import World, device_of, joined
from executor.recorder import Recorder
from executor.worker import Worker
from models.loaded import LoadedModel
from planner.action import Action, Carried, Kind, Payload, TimedAction
from planner.cluster import Cluster
from planner.patterns import Pattern
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import Profile, Timing
from planner.search import plan
from planner.workload import Workload

REPEATS = 5
ECHOES = 30
MESSAGES: tuple[Carried, ...] = ("latents", "kv")  # smaller first


def profile(
    model: LoadedModel,
    cluster: Cluster,
    *,
    prompt: str,
    busy_ranks: int = 1,
    repeats: int = REPEATS,
) -> Profile:
    """Measured durations of the model on the cluster's first device, with `busy_ranks` ranks at work at once.

    Medians over `repeats` clips on every rank, first-call costs left out; the link's figures come from echoes of two
    sizes, or are the cluster's own where one rank works alone. Raises WorldError if the model has no decoder,
    RankError if a rank fails.
    """
    if model.vae is None:
        raise WorldError(f"{model.spec.name} has no decoder to profile")
    # The window filled, and two more blocks at full context.
    blocks = model.spec.window // model.spec.frames_per_block + 2
    problem = Problem(model=model.spec, cluster=cluster.first(1), workload=Workload(blocks=blocks))
    job = _Measurement(problem, plan(problem, pattern=Pattern.sequential(model.spec)), model, prompt, repeats)
    shares = on_local_ranks(busy_ranks, job.on_world)
    spans = [row for rows, _ in shares for row in rows]
    latency, bandwidth = shares[0][1] or (cluster.link.latency_us, cluster.link.bandwidth_gbps)
    return Profile(
        model=model.spec.name,
        device=cluster.devices[0].kind,
        software=f"torch {torch.__version__}, python {platform.python_version()}, {platform.machine()}",
        busy_ranks=busy_ranks,
        **_tables(model, spans),
        link_latency_us=latency,
        link_bandwidth_gbps=bandwidth,
    )


class _Measurement:
    """What every rank does."""

    def __init__(self, problem: Problem, sequential: Plan, model: LoadedModel, prompt: str, repeats: int) -> None:
        self._problem = problem
        self._plan = sequential
        self._model = model
        self._prompt = prompt
        self._repeats = repeats

    def on_world(self, world: World) -> tuple[list[TimedAction], tuple[int, float] | None]:
        device = device_of(self._problem.cluster.devices[0].kind, world.local_rank)
        payloads = {_message(carries): tag for tag, carries in enumerate(MESSAGES)}
        with joined(world, device):
            channel = TorchChannel([(0, 1), (1, 0)] if world.size > 1 else [], payloads)
            model = self._model.to(device)
            spans = [row for _ in range(self._repeats) for row in self._clip(channel, model)]
            return spans, self._link(channel, model) if world.size > 1 else None

    def _clip(self, channel: Channel, model: LoadedModel) -> Sequence[TimedAction]:
        program = [row.action for row in self._plan.ranks[0]]
        rank = Rank(model, self._prompt, 0, self._plan.pattern, program)
        rank.warm_up()
        recorder = Recorder(rank.device, common_start_ns(channel))
        alone = LocalWorld(1).channel(0)
        return Worker(rank, alone, recorder, self._problem, self._plan.pattern).walk(program)

    def _link(self, channel: Channel, model: LoadedModel) -> tuple[int, float]:
        """Latency in us and bandwidth in GB/s between ranks 0 and 1, by the line through two sizes."""
        spec, times = model.spec, []
        sizes = (spec.latent_bytes_per_block, spec.kv_bytes_per_block)
        for carries, size in zip(MESSAGES, sizes, strict=True):
            tensor = torch.zeros(size, dtype=torch.uint8, device=model.wan.device)
            times.append(_echo_us(channel, _message(carries), tensor))
        slope = max((times[1] - times[0]) / max(sizes[1] - sizes[0], 1), 1e-6)
        return max(0, round(times[0] - slope * sizes[0])), 1 / (slope * 1000)


def _echo_us(channel: Channel, payload: Payload, tensor: torch.Tensor) -> float:
    """Median one-way time of a message, from echoes between ranks 0 and 1; other ranks wait."""
    channel.barrier()
    times = []
    for _ in range(ECHOES if channel.rank < 2 else 0):
        start = time.perf_counter_ns()
        if channel.rank == 0:
            channel.send(payload, tensor, 1).wait()
            channel.receive(payload, tensor, 1).wait()
        else:
            channel.receive(payload, tensor, 0).wait()
            channel.send(payload, tensor, 0).wait()
        if tensor.is_cuda:
            torch.cuda.synchronize()
        times.append((time.perf_counter_ns() - start) / 2000)
    channel.barrier()
    return statistics.median(times) if times else 0.0


def _message(carries: Carried) -> Payload:
    return Payload(carries, 0, 0)


def _tables(model: LoadedModel, spans: Sequence[TimedAction]) -> dict[str, Any]:
    """Durations by what they depend on: a pass on how many blocks it reads, a decode on being the stream's first."""
    spec = model.spec
    passes: dict[tuple[Kind, int], list[int]] = defaultdict(list)
    for action, start, end in spans:
        if action.is_compute:
            passes[action.kind, _context(model, action)].append(max(1, end - start))

    def table(kind: Kind) -> tuple[Timing, ...]:
        depths = sorted(depth for found, depth in passes if found is kind)
        return tuple(_timing(passes[kind, depth]) for depth in depths)

    first, later = table(Kind.DECODE)
    clean = table(Kind.COMMIT) if spec.clean_pass else ()
    return {"denoise": table(Kind.DENOISE), "clean": clean, "decode_first": first, "decode": later}


def _context(model: LoadedModel, action: Action) -> int:
    if action.kind is Kind.DECODE:
        return min(action.block, 1)
    return len(model.spec.context_blocks(action.block))


def _timing(durations: Sequence[int]) -> Timing:
    ordered = sorted(durations)
    return Timing(
        median_us=round(statistics.median(ordered)),
        p95_us=ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
        samples=len(ordered),
    )
