"""A plan of one rank, walked in this thread: what a test wants to look at from within."""

from __future__ import annotations

import time

import torch

from executor.channels.local_channel import LocalWorld
from executor.rank.bind import Rank
from executor.rank.recorder import Recorder
from executor.rank.worker import Worker
from planner.action import Action
from planner.cluster import Cluster
from planner.problem import Problem
from planner.workload import Workload
from tests.executor.equal import SEED, Case, case
from tests.tiny import TINY_SPEC


def alone(pattern: str, placement: str = "free", ticks: tuple[int, ...] = (), **asked: object) -> Case:
    """A clip of four blocks on one rank, whose prompts switch at `ticks`; its transformer keeps nothing of others."""
    workload = Workload.model_validate({"blocks": 4, **asked})
    problem = Problem(model=TINY_SPEC, cluster=Cluster.of("cpu-core", 1), workload=workload)
    return case(problem, pattern, placement, ticks)


def one_rank(chosen: Case) -> Rank:
    """The rank, which has done nothing yet."""
    channel, program = LocalWorld(1).channel(0), _program(chosen)
    return Rank(chosen.model, chosen.problem, chosen.flow, channel, program, prompts=chosen.prompts, seed=SEED)


def walk(chosen: Case, rank: Rank) -> None:
    """The whole program; its times are the host's, whatever the device."""
    recorder = Recorder(torch.device("cpu"), time.monotonic_ns())
    Worker(rank, LocalWorld(1).channel(0), recorder, chosen.flow).walk(_program(chosen))


def _program(chosen: Case) -> list[Action]:
    return [row.action for row in chosen.plan.ranks[0]]
