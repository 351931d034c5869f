"""Ranks meet and agree before anything starts, whatever dead ones left in the store; threads play the ranks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import torch.distributed as dist

from executor.errors import WorldError
from executor.world.limits import Limits
from executor.world.meeting import Meeting, Peer, disagreement, meet, this_process

LIMITS = Limits(rendezvous_s=0.5)
FACTS = {"plan": "abc", "seed": "3"}


@pytest.fixture(autouse=True)
def _short_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("executor.world.meeting.NOTICE_S", 0.3)


def new_store() -> Any:
    return dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]


def client(store: Any) -> Any:
    timeout = timedelta(seconds=5)
    return dist.TCPStore("127.0.0.1", store.port, timeout=timeout, wait_for_workers=False)  # type: ignore[attr-defined]


def together(*calls: Callable[[], Meeting]) -> list[Meeting | WorldError]:
    def result(call: Callable[[], Meeting]) -> Meeting | WorldError:
        try:
            return call()
        except WorldError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(result, calls))


def rank(store: Any, number: int, size: int, facts: dict[str, str] = FACTS, late_s: float = 0) -> Callable[[], Meeting]:
    def call() -> Meeting:
        time.sleep(late_s)
        return meet(client(store), number, size, facts, LIMITS)

    return call


def test_all_come_to_the_same_meeting() -> None:
    store = new_store()
    first, second, third = together(rank(store, 0, 3), rank(store, 1, 3, late_s=0.2), rank(store, 2, 3))
    assert isinstance(first, Meeting)
    assert isinstance(second, Meeting)
    assert isinstance(third, Meeting)
    assert first.peers == second.peers == third.peers
    assert [len({peer.name for peer in first.peers}), second.rank] == [3, 1]
    first.watch_store.set("x", "here")
    assert third.watch_store.get("x") == b"here"
    # A rank that dies before its first beat must not hold the others up.
    assert all(json.loads(first.watch_store.get(f"beat {number}"))[0] == 0 for number in range(3))


def test_a_second_start_over_the_same_store_has_keys_of_its_own() -> None:
    store = new_store()
    before = together(rank(store, 0, 2), rank(store, 1, 2))[1]
    after = together(rank(store, 0, 2), rank(store, 1, 2, late_s=0.3))
    assert isinstance(before, Meeting)
    assert all(isinstance(meeting, Meeting) for meeting in after)
    before.watch_store.set("notice", "old")
    assert not after[0].watch_store.check(["notice"])  # type: ignore[union-attr]
    assert after[0].peers == after[1].peers != before.peers  # type: ignore[union-attr]


def test_a_dead_predecessors_hello_is_nobody() -> None:
    store = new_store()
    together(rank(store, 0, 2), rank(store, 1, 2))
    (alone,) = together(rank(store, 0, 2))
    assert isinstance(alone, WorldError)
    assert "of 2 ranks, 1 did not come within 0.5 s: 1;" in str(alone)


def test_ranks_that_do_not_come_are_named_on_all_that_did() -> None:
    store = new_store()
    first, last = together(rank(store, 0, 4), rank(store, 3, 4))
    assert "of 4 ranks, 2 did not come within 0.5 s: 1, 2;" in str(first)
    assert str(first) == str(last)


def test_without_rank_0_the_others_give_up() -> None:
    store = new_store()
    for outcome in together(rank(store, 1, 3), rank(store, 2, 3)):
        assert "rank 0 did not come within 0.5 s" in str(outcome)


def test_two_processes_of_one_rank() -> None:
    store = new_store()
    outcomes = together(rank(store, 0, 2), rank(store, 1, 2), rank(store, 1, 2, late_s=0.1), rank(store, 1, 2))
    texts = [str(outcome) for outcome in outcomes if isinstance(outcome, WorldError)]
    assert any("is rank 1 too" in text for text in texts)


def test_a_rank_that_disagrees_is_named_on_all() -> None:
    store = new_store()
    other = {"plan": "abc", "seed": "4"}
    outcomes = together(rank(store, 0, 3), rank(store, 1, 3, other), rank(store, 2, 3))
    for outcome in outcomes:
        assert isinstance(outcome, WorldError)
        assert "rank 1 has seed 4, not 3" in str(outcome)
        assert "plan" not in str(outcome).partition(";")[0]


def test_disagreements() -> None:
    assert disagreement([FACTS] * 3) == ""
    assert "rank 1 has seed 4, not 3" in disagreement([FACTS, {**FACTS, "seed": "4"}])
    both = disagreement([{**FACTS, "plan": "x"}, FACTS, {"plan": "abc"}])
    assert "rank 0 has plan x, not abc; rank 2 has seed none, not 3" in both


def test_a_process_knows_whether_another_is_gone() -> None:
    me = this_process({})
    assert not me.is_gone
    assert me._replace(started="1").is_gone
    assert me._replace(pid=2**22 + 1).is_gone
    assert Peer(*json.loads(json.dumps(me))) == me


def test_a_store_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store()
    monkeypatch.setattr("executor.world.meeting.POLL_S", 0.3)

    def end() -> Meeting:
        nonlocal store
        time.sleep(0.1)
        del store
        raise WorldError("ended")

    there = client(store)
    outcome = together(lambda: meet(there, 1, 2, FACTS, LIMITS, keeper="the keeper"), end)[0]
    assert "the keeper is gone" in str(outcome)
