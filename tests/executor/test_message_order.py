"""NCCL matches messages by their order alone, so both ends of every link must post in the same one.

There is no NCCL here: the ranks run over threads, and what each end posts is compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from torch import Tensor

from executor import job, launch
from executor.channels.channel import Channel, Pending
from executor.channels.live import AHEAD
from executor.channels.local_channel import LocalWorld
from executor.channels.through import Through
from planner.action import Payload
from planner.cluster import Cluster
from planner.problem import Problem
from planner.workload import Workload
from tests.executor.equal import SEED, Case, case, cases, deep

Posts = dict[tuple[int, int, bool], list[tuple[str, int]]]


class Listening(Through):
    """A channel that notes what its end posts, by source, target and whether live: the payload and its numbers."""

    def __init__(self, inner: Channel, sent: Posts, received: Posts) -> None:
        super().__init__(inner)
        self._sent, self._received = sent, received

    def send(self, payload: Payload, tensor: Tensor, target: int, *, live: bool = False) -> Pending:
        self._sent[self.rank, target, live].append((str(payload), tensor.numel()))
        return super().send(payload, tensor, target, live=live)

    def receive(self, payload: Payload, tensor: Tensor, source: int, *, live: bool = False) -> Pending:
        self._received[source, self.rank, live].append((str(payload), tensor.numel()))
        return super().receive(payload, tensor, source, live=live)

    def exchange(self, outs: Mapping[int, Sequence[Tensor]], rooms: Mapping[int, Sequence[Tensor]]) -> Pending:
        assert all(part.is_contiguous() for parts in (*outs.values(), *rooms.values()) for part in parts)
        for peer, parts in outs.items():
            self._sent[self.rank, peer, False] += [("together", part.numel()) for part in parts]
        for peer, parts in rooms.items():
            self._received[peer, self.rank, False] += [("together", part.numel()) for part in parts]
        return super().exchange(outs, rooms)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_both_ends_of_a_link_post_in_the_same_order(chosen: Case) -> None:
    require_same_order(chosen)


@pytest.mark.parametrize(("ranks", "placement"), [(2, "step"), (3, "block"), (4, "step")])
def test_so_they_do_with_several_payloads_coming_live(ranks: int, placement: str) -> None:
    """Of more layers than are received ahead, so that the layers of two payloads could mix."""
    model = deep(AHEAD + 3, timesteps=(1000, 750, 500, 250), window=8, sink=0)
    workload = Workload(blocks=4, decode=False)
    problem = Problem(model=model.spec, cluster=Cluster.of("cpu-core", ranks), workload=workload)
    require_same_order(case(problem, "cascade:1:live-causal", placement)._replace(model=model))


def require_same_order(chosen: Case) -> None:
    sent: Posts = defaultdict(list)
    received: Posts = defaultdict(list)
    with pytest.MonkeyPatch.context() as patch:

        class World(LocalWorld):
            def channel(self, rank: int) -> Any:
                return Listening(super().channel(rank), sent, received)

        patch.setattr(job, "LocalWorld", World)
        launch.execute(chosen.plan, chosen.problem, chosen.model, prompts=chosen.prompts, seed=SEED, ranks="threads")
    # What ranks do together goes over groups of its own.
    for one in (sent, received):
        for key in list(one):
            one[*key[:2], "together"] = [post for post in one[key] if post[0] == "together"]  # type: ignore[index]
            one[key] = [post for post in one[key] if post[0] != "together"]
    assert {key: posts for key, posts in sent.items() if posts} == {key: p for key, p in received.items() if p}
