"""What one rank sends, the other receives, over threads as over gloo."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from executor.channels.channel import Channel
from executor.channels.local_channel import LocalWorld
from executor.channels.torch_channel import TorchChannel, Wiring, require_streams, wiring
from executor.errors import RankError, WorldError
from executor.world.forked import on_local_ranks
from executor.world.process_group import World, joined
from planner.action import Payload
from planner.cluster import Cluster
from planner.patterns import Pattern
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.clips import costed, plan_of
from tests.tiny import TINY_SPEC

FIRST, SECOND = Payload("kv", 0, 1), Payload("latents", 0, 1)


def exchange(channel: Channel) -> list[float]:
    """Both ranks send two payloads and receive the other's in the opposite order."""
    other = 1 - channel.rank
    base = 10.0 * (channel.rank + 1)
    mine = {FIRST: torch.full((4,), base), SECOND: torch.full((2, 3), base + 1)}
    sends = [channel.send(payload, tensor, other) for payload, tensor in mine.items()]
    rooms = {SECOND: torch.zeros(2, 3), FIRST: torch.zeros(4)}
    receives = [channel.receive(payload, tensor, other) for payload, tensor in rooms.items()]
    for pending in receives + sends:
        pending.wait()
    return [rooms[FIRST].unique().item(), rooms[SECOND].unique().item()]


def on_threads(size: int, function: Any) -> list[Any]:
    world, results = LocalWorld(size), dict[int, Any]()

    def main(rank: int) -> None:
        results[rank] = function(world.channel(rank))

    threads = [threading.Thread(target=main, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return [results[rank] for rank in range(size)]


def over_gloo(function: Any) -> Any:
    def main(world: World) -> Any:
        with joined(world, torch.device("cpu")):
            return function(TorchChannel(Wiring({FIRST: 1, SECOND: 2}, [], [])))

    return main


def test_threads_exchange() -> None:
    assert on_threads(2, exchange) == [[20.0, 21.0], [10.0, 11.0]]


@pytest.mark.dist
def test_gloo_exchanges() -> None:
    assert on_local_ranks(2, over_gloo(exchange)) == [[20.0, 21.0], [10.0, 11.0]]


def work_together(channel: Channel) -> list[list[float]]:
    """Three steps of work with one peer after another, while a payload of four layers goes round."""
    other = (channel.rank + 1) % channel.size
    before = (channel.rank - 1) % channel.size
    layers = [channel.send(FIRST, torch.tensor([100.0 * channel.rank + layer]), other, live=True) for layer in range(4)]
    rooms = [torch.zeros(1) for _ in range(4)]
    coming = [channel.receive(FIRST, room, before, live=True) for room in rooms]
    found = []
    for step in range(3):
        peers = [peer for peer in range(channel.size) if peer != channel.rank]
        outs = {peer: [torch.tensor([10.0 * channel.rank]), torch.tensor([float(step)])] for peer in peers}
        came = {peer: [torch.zeros(1), torch.zeros(1)] for peer in peers}
        channel.exchange(outs, came).wait()
        found.append([sum(part.item() for part in came[peer]) for peer in sorted(came)])
    for pending in coming + layers:
        pending.wait()
    return [*found, [room.item() for room in rooms]]


WORKED = [
    [[10, 20], [11, 21], [12, 22], [200, 201, 202, 203]],
    [[0, 20], [1, 21], [2, 22], [0, 1, 2, 3]],
    [[0, 10], [1, 11], [2, 12], [100, 101, 102, 103]],
]


def test_threads_work_together() -> None:
    assert on_threads(3, work_together) == WORKED


@pytest.mark.dist
def test_gloo_ranks_work_together() -> None:
    assert on_local_ranks(3, over_gloo(lambda channel: channel.gather(work_together(channel))))[0] == WORKED


def test_a_rank_may_not_have_more_groups_than_streams() -> None:
    links = [(0, peer, live) for peer in range(1, 16) for live in (False, True)]
    require_streams(Wiring({}, links, [tuple(range(16))]))
    with pytest.raises(WorldError, match="rank 0 would exchange with others in 32 ways"):
        require_streams(Wiring({}, [*links, (1, 0, False)], [tuple(range(16))]))
    require_streams(Wiring({}, [], []))


def kv_from_slot_to_slot(channel: Channel) -> list[bool]:
    """K/V in slots that lie otherwise on either end, whole and layer by layer, small and large."""
    other, found = 1 - channel.rank, []
    for heads in (1, 256):
        numbers = torch.arange(2 * 2 * 64 * heads * 16.0).view(2, 2, 64, heads, 16)
        slots = torch.zeros(2, 2, 2 + channel.rank, 64, heads, 16)
        own, room = slots[:, :, 0], slots[:, :, 1]
        own.copy_(numbers + channel.rank)
        for live in (False, True):
            room.zero_()
            leaving = [channel.send(FIRST, part, other, live=live) for part in (own if live else [own])]
            coming = [channel.receive(FIRST, part, other, live=live) for part in (room if live else [room])]
            for pending in coming + leaving:
                pending.wait()
            found += [torch.equal(room, numbers + other), torch.equal(own, numbers + channel.rank)]
    return found


def test_threads_send_from_slot_to_slot() -> None:
    assert on_threads(2, kv_from_slot_to_slot) == [[True] * 8] * 2


@pytest.mark.dist
def test_gloo_sends_from_slot_to_slot() -> None:
    assert on_local_ranks(2, over_gloo(kv_from_slot_to_slot)) == [[True] * 8] * 2


def test_an_exchange_may_have_nothing_to_send_or_to_get() -> None:
    world = LocalWorld(2)
    room = torch.zeros(1)
    world.channel(0).exchange({1: [torch.ones(1)]}, {}).wait()
    world.channel(1).exchange({}, {0: [room]}).wait()
    assert room.item() == 1


@pytest.mark.parametrize(
    ("pattern", "placement", "gangs"),
    [
        ("cascade:1:live-joint", "block@3", [(0, 1, 2)]),
        ("cascade:1:live-joint", "block*ulysses:2", [(0, 1), (0, 2), (1, 3), (2, 3)]),
        ("cascade:1:live-joint", "batched@1", []),
        ("sequential", "free*ulysses:2@2", [(0, 1)]),
        ("cascade:1:live-causal", "block@3", []),
    ],
)
def test_who_works_together(pattern: str, placement: str, gangs: list[tuple[int, ...]]) -> None:
    problem = Problem(model=TINY_SPEC, cluster=Cluster.of("cpu-core", 4), workload=Workload(blocks=3, decode=False))
    timing = costed(problem, Pattern.parse(pattern, TINY_SPEC), placement)
    found = wiring(plan_of(timing).ranks, timing.flow)
    assert found.gangs == gangs
    assert any(live for *_, live in found.links) == ("live-causal" in pattern)
    assert sorted(found.tags.values()) == list(range(1, len(found.tags) + 1))


def talk(channel: Channel) -> tuple[int, list[Any] | None]:
    heard = channel.broadcast(7 + channel.rank)
    return heard, channel.gather({"rank": channel.rank})


def test_threads_broadcast_and_gather() -> None:
    gathered = [{"rank": 0}, {"rank": 1}, {"rank": 2}]
    assert on_threads(3, talk) == [(7, gathered), (7, None), (7, None)]


@pytest.mark.dist
def test_gloo_broadcasts_and_gathers() -> None:
    gathered = [{"rank": 0}, {"rank": 1}]
    assert on_local_ranks(2, over_gloo(talk)) == [(7, gathered), (7, None)]


def test_a_sent_tensor_may_change_afterwards() -> None:
    world = LocalWorld(1)
    channel = world.channel(0)
    tensor, room = torch.ones(3), torch.zeros(3)
    channel.send(FIRST, tensor, 0)
    tensor.zero_()
    channel.receive(FIRST, room, 0).wait()
    assert room.tolist() == [1, 1, 1]


def test_a_failure_elsewhere_wakes_who_waits() -> None:
    world = LocalWorld(2)
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            world.channel(0).receive(FIRST, torch.zeros(1), 1).wait()
        except RankError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    world.fail()
    thread.join(30)
    assert "kv b0.s1 from rank 1 never came" in str(errors[0])
    with pytest.raises(RankError, match="another rank failed"):
        world.channel(1).barrier()
