"""`profile()`: times a model on one device, beside as many busy ranks as the plan will have.

Each rank runs the same one-rank sequential clip several times, all at once, and a link is timed between two of them.
So a pass is measured in the very loop that will run it, with the memory traffic of its neighbours.
"""

from __future__ import annotations

import math
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import torch

from executor.bind import Rank
from executor.channel import Channel, LocalWorld, Pending, TorchChannel
from executor.errors import WorldError
from executor.forked import on_local_ranks
from executor.launch import common_start_ns
from executor.process_group import World, device_of, joined
from executor.recorder import Recorder
from executor.worker import Worker
from models.loaded import LoadedModel
from planner.action import Action, Carried, Kind, Payload, TimedAction
from planner.cluster import Cluster
from planner.flow import Flow
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import Profile, Timing
from planner.search import plan
from planner.workload import Workload

REPEATS = 5
ECHOES = 30
POSTS = 100
# Work beside which a transfer is timed: so many times as long as the transfer, at most so many matrix products.
TRANSFERS_LONG, MOST_PRODUCTS = 3, 1000
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
    spans = [row for share in shares for row in share.spans]
    given = _Measured(cluster.link.latency_us, cluster.link.bandwidth_gbps, 0)
    link = shares[0].link or given
    post_us = min((share.link.post_us for share in shares[:2] if share.link), default=0)
    return Profile(
        model=model.spec.name,
        device=cluster.devices[0].kind,
        software=f"torch {torch.__version__}, python {platform.python_version()}, {platform.machine()}",
        busy_ranks=busy_ranks,
        **_tables(model, spans),
        post_us=post_us,
        link_latency_us=link.latency_us,
        link_bandwidth_gbps=link.bandwidth_gbps,
    )


class _Measured(NamedTuple):
    """A link: latency in us, bandwidth in GB/s, and the host's time to post a send or a receive."""

    latency_us: int
    bandwidth_gbps: float
    post_us: int


class _Share(NamedTuple):
    """What one rank measured."""

    spans: list[TimedAction]
    link: _Measured | None


class _Measurement:
    """What every rank does."""

    def __init__(self, problem: Problem, sequential: Plan, model: LoadedModel, prompt: str, repeats: int) -> None:
        self._problem = problem
        self._plan = sequential
        self._model = model
        self._prompt = prompt
        self._repeats = repeats

    def on_world(self, world: World) -> _Share:
        device = device_of(self._problem.cluster.devices[0].kind, world.local_rank)
        payloads = {_message(carries, number): tag for tag, (carries, number) in enumerate(product(MESSAGES, (0, 1)))}
        with joined(world, device):
            channel = TorchChannel([(0, 1), (1, 0)] if world.size > 1 else [], payloads)
            model = self._model.to(device)
            spans = [row for _ in range(self._repeats) for row in self._clip(channel, model)]
            return _Share(spans, self._link(channel, model) if world.size > 1 else None)

    def _clip(self, channel: Channel, model: LoadedModel) -> Sequence[TimedAction]:
        program = [row.action for row in self._plan.ranks[0]]
        flow = Flow(self._problem, self._plan.pattern, Placement.parse(self._plan.placement))
        rank = Rank(model, self._prompt, 0, flow, program)
        rank.warm_up()
        recorder = Recorder(rank.device, common_start_ns(channel))
        alone = LocalWorld(1).channel(0)
        return Worker(rank, alone, recorder, flow).walk(program)

    def _link(self, channel: Channel, model: LoadedModel) -> _Measured:
        """The link between ranks 0 and 1: its line through two sizes, and what a post of the larger takes the host."""
        spec, times = model.spec, []
        sizes = (spec.latent_bytes_per_block, spec.kv_bytes_per_block)
        for carries, size in zip(MESSAGES, sizes, strict=True):
            tensor = torch.zeros(size, dtype=torch.uint8, device=model.wan.device)
            times.append(_echo_us(channel, _message(carries), tensor))
        slope = max((times[1] - times[0]) / max(sizes[1] - sizes[0], 1), 1e-6)
        post_us = _post_us(channel, sizes[1], model.wan.device, times[1])
        return _Measured(max(0, round(times[0] - slope * sizes[0])), 1 / (slope * 1000), post_us)


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


def _post_us(channel: Channel, size: int, device: torch.device, way_us: float) -> int:
    """What posting a K/V's send or receive takes from a rank's work: half of what a pair adds to the work beside it.

    On the CPU that is the host's time to post, and what the transfer's own thread takes of the cores. The least of
    several, as what else the machine does only adds; ranks other than 0 and 1 wait.
    """
    channel.barrier()
    times: tuple[list[float], list[float]] = ([], [])
    work, under_way = _work(device, TRANSFERS_LONG * way_us), list[Pending]()
    for turn in range(2 * POSTS if channel.rank < 2 else 0):
        peer = 1 - channel.rank
        payload = _message(MESSAGES[1], turn // 2 % 2)
        out, room = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
        start = time.perf_counter_ns()
        if turn % 2:
            under_way = [channel.receive(payload, room, peer), channel.send(payload, out, peer)]
        work()
        times[turn % 2].append((time.perf_counter_ns() - start) / 1000)
        # Not before the work without a transfer is timed, so that a slow peer does not count.
        for pending in under_way if turn % 2 == 0 else ():
            pending.wait()
    for pending in under_way:
        pending.wait()
    channel.barrier()
    alone_us, beside_us = (min(found, default=0.0) for found in times)
    return max(0, round((beside_us - alone_us) / 2))


def _work(device: torch.device, least_us: float) -> Callable[[], None]:
    """Matrix products that keep a rank busy for at least so long."""
    matrix = torch.ones(256, 256, device=device)

    def products(count: int) -> None:
        for _ in range(count):
            torch.mm(matrix, matrix)

    products(10)
    start = time.perf_counter_ns()
    products(10)
    each_us = (time.perf_counter_ns() - start) / 10_000
    return partial(products, max(1, min(MOST_PRODUCTS, math.ceil(least_us / each_us))))


def _message(carries: Carried, number: int = 0) -> Payload:
    return Payload(carries, number, 0)


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
