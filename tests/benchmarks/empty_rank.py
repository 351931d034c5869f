"""A rank that does nothing: what is left of a run is what the executor itself takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import torch
from torch import Tensor

from executor.channels.channel import Channel
from executor.channels.local_channel import LocalWorld
from executor.rank.recorder import Recorder
from executor.rank.worker import Worker
from planner.action import Action, Payload
from planner.flow import Flow
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem


class EmptyRank:
    """Holds one number that stands for every payload."""

    def __init__(self) -> None:
        self._number = torch.zeros(1)

    def compute(self, action: Action, between: Callable[[int], None]) -> None:
        """Nothing, and no layers."""

    def tensor(self, payload: Payload) -> Tensor:  # noqa: ARG002 - every payload is the same
        return self._number

    def room(self, payload: Payload) -> Tensor:  # noqa: ARG002
        return self._number

    def arrived(self, payload: Payload) -> None:
        """It is where it belongs."""

    def layer(self, payload: Payload, index: int) -> Tensor:  # noqa: ARG002
        return self._number

    def slot(self, payload: Payload) -> Tensor:  # noqa: ARG002
        return self._number

    def free(self, payload: Payload) -> None:
        """There is nothing to give up."""


def us_per_action(plan: Plan, problem: Problem) -> float:
    """Wall time of the plan's ranks as threads over what all of them did, microseconds: threads take turns."""
    size = len(plan.ranks)
    flow = Flow(problem, plan.pattern, Placement.parse(plan.placement), plan.switch_ticks)
    world, begun, done = LocalWorld(size), list[float](), list[int]()

    def main(rank: int) -> None:
        channel: Channel = world.channel(rank)
        recorder = Recorder(torch.device("cpu"), time.monotonic_ns())
        worker = Worker(EmptyRank(), channel, recorder, flow)
        program = [row.action for row in plan.ranks[rank]]
        channel.barrier()
        begun.append(time.perf_counter())
        done.append(len(worker.walk(program)))

    threads = [threading.Thread(target=main, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(done) < size:
        raise RuntimeError("a rank failed")
    return (time.perf_counter() - min(begun)) * 1e6 / sum(done)
