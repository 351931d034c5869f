"""What messages between ranks take, by size and link, and what posting them takes from a rank's work."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations
from typing import NamedTuple

import torch

from executor.channels.channel import Channel, Pending
from executor.channels.torch_channel import Wiring
from models.spec import ModelSpec
from planner.action import Payload
from planner.profile import Timing, Transfer

ECHOES, FEW_ECHOES, LARGE_BYTES = 30, 8, 2**24
POSTS, FEW_POSTS = 100, 10
# Work beside which a transfer is timed: so many times as long as the transfer, at most so many matrix products.
TRANSFERS_LONG, MOST_PRODUCTS = 3, 1000
STEP = 4  # from one size to the next
LEAST_BYTES = 1024
LEAST_SLOPE = 1e-6  # microseconds a byte: a million gigabytes a second
MESSAGES = Payload("kv", 0, 0), Payload("kv", 1, 0)


class Line(NamedTuple):
    """A message takes the latency and its bytes over the bandwidth, in gigabytes a second."""

    latency_us: int
    bandwidth_gbps: float


def wiring(size: int) -> Wiring:
    """The links that are timed: between rank 0 and each other."""
    links = [(*way, False) for peer in range(1, size) for way in ((0, peer), (peer, 0))]
    return Wiring({message: tag for tag, message in enumerate(MESSAGES, 1)}, sorted(links), ())


def sizes(spec: ModelSpec) -> tuple[int, ...]:
    """Bytes of the messages to time: from the smallest that a plan may send to a block's K/V."""
    most = spec.kv_bytes_per_block
    least = max(LEAST_BYTES, min(spec.latent_bytes_per_block, most // spec.layers))
    between = [least * STEP**place for place in range(64) if least * STEP**place * STEP <= most]
    return tuple(sorted({least, *between, spec.latent_bytes_per_block, most}))


def transfers(channel: Channel, message_bytes: Sequence[int], device: torch.device) -> tuple[Transfer, ...]:
    """One-way times from rank 0 to each other rank, half of an echo's, on rank 0; nothing elsewhere."""
    found = []
    for peer in range(1, channel.size):
        for size in message_bytes:
            times = _echoes_us(channel, peer, torch.zeros(size, dtype=torch.uint8, device=device))
            if channel.rank == 0:
                found.append(Transfer(source=0, target=peer, size_bytes=size, timing=Timing.of(times)))
    return tuple(found)


def fitted(found: Sequence[Transfer]) -> Line:
    """The line of a typical link: the median slope over medians (Theil and Sen's), and the median intercept of lower
    quartiles, as what else a machine does adds to latencies.
    """
    lines = [_line([t for t in found if t.target == target]) for target in sorted({t.target for t in found})]
    return Line(
        round(statistics.median(line.latency_us for line in lines)),
        statistics.median(line.bandwidth_gbps for line in lines),
    )


def _line(found: Sequence[Transfer]) -> Line:
    lower = [(item.size_bytes, item.timing.lower_us or item.timing.median_us) for item in found]
    slope = _slope([(item.size_bytes, item.timing.median_us) for item in found])
    if slope < LEAST_SLOPE:
        # Where even medians are disturbed by more than bytes take, the quicker half may still tell.
        slope = max(_slope(lower), LEAST_SLOPE)
    rest = statistics.median(us - slope * size for size, us in lower)
    return Line(max(0, round(rest)), 1 / (slope * 1000))


def _slope(points: Sequence[tuple[int, int]]) -> float:
    """Microseconds a byte."""
    slopes = [(b - a) / (y - x) for (x, a), (y, b) in combinations(points, 2) if y > x]
    return statistics.median(slopes) if slopes else 0.0


def _echoes_us(channel: Channel, peer: int, tensor: torch.Tensor) -> list[float]:
    """One-way times of a message to the peer and back; other ranks wait. The first does not count."""
    channel.barrier()
    count = FEW_ECHOES if tensor.numel() >= LARGE_BYTES else ECHOES
    times = []
    for _ in range(count + 1 if channel.rank in (0, peer) else 0):
        start_ns = time.perf_counter_ns()
        if channel.rank == 0:
            channel.send(MESSAGES[0], tensor, peer).wait()
            channel.receive(MESSAGES[0], tensor, peer).wait()
        else:
            channel.receive(MESSAGES[0], tensor, 0).wait()
            channel.send(MESSAGES[0], tensor, 0).wait()
        if tensor.is_cuda:
            torch.cuda.synchronize()
        times.append((time.perf_counter_ns() - start_ns) / 2000)
    channel.barrier()
    return times[1:]


# -- posting -------------------------------------------------------------------------------------


def post_us(channel: Channel, size: int, device: torch.device, way_us: float) -> int:
    """What posting a message's send or receive takes from a rank's work: half of what a pair adds to the work beside.

    On the CPU that is the host's time to post, and what the transfer's own thread takes of the cores. The least of
    several, as what else the machine does only adds; ranks other than 0 and 1 wait.
    """
    channel.barrier()
    work = work_of(device, TRANSFERS_LONG * way_us)
    alone, beside = list[float](), list[float]()
    for at, us in enumerate(_turns_us(channel, size, device, work) if channel.rank < 2 else ()):
        (beside if at % 2 else alone).append(us)
    channel.barrier()
    return max(0, round((min(beside, default=0.0) - min(alone, default=0.0)) / 2))


def _turns_us(channel: Channel, size: int, device: torch.device, work: Callable[[], None]) -> Iterator[float]:
    """What the work takes, in turns without and with a pair of transfers under way."""
    under_way = list[Pending]()
    for turn in range(2 * (FEW_POSTS if size >= LARGE_BYTES else POSTS)):
        message, peer = MESSAGES[turn // 2 % 2], 1 - channel.rank
        out, room = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
        start_ns = time.perf_counter_ns()
        if turn % 2:
            under_way = [channel.receive(message, room, peer), channel.send(message, out, peer)]
        work()
        yield (time.perf_counter_ns() - start_ns) / 1000
        # Not before the work without a transfer is timed, so that a slow peer does not count.
        for pending in under_way if turn % 2 == 0 else ():
            pending.wait()
    for pending in under_way:
        pending.wait()


def work_of(device: torch.device, least_us: float) -> Callable[[], None]:
    """Matrix products that keep a rank busy for at least so long."""
    matrix = torch.ones(256, 256, device=device)

    def products(count: int) -> None:
        for _ in range(count):
            torch.mm(matrix, matrix)

    products(10)
    start_ns = time.perf_counter_ns()
    products(10)
    each_us = (time.perf_counter_ns() - start_ns) / 10_000
    return partial(products, max(1, min(MOST_PRODUCTS, math.ceil(least_us / each_us))))
