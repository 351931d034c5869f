"""What one rank sends, the other receives, over threads as over gloo."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from executor.channel import Channel, LocalWorld, TorchChannel
from executor.errors import RankError
from executor.forked import on_local_ranks
from executor.process_group import World, joined
from planner.action import Payload

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
            return function(TorchChannel([(0, 1), (1, 0)], {FIRST: 0, SECOND: 1}))

    return main


def test_threads_exchange() -> None:
    assert on_threads(2, exchange) == [[20.0, 21.0], [10.0, 11.0]]


@pytest.mark.dist
def test_gloo_exchanges() -> None:
    assert on_local_ranks(2, over_gloo(exchange)) == [[20.0, 21.0], [10.0, 11.0]]


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
