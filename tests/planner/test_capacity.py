"""How many sessions are held, against sums done by hand: a block of the toy takes 300 ms here and plays 750 ms."""

from __future__ import annotations

from typing import Any

import pytest

from models.catalog import load_spec
from planner.capacity import LIVE, breaks_first, cheapest, demand_held, serve, sessions_held
from planner.cluster import Cluster
from planner.conditions import Conditions, Jitter, Outage, Player, Spread
from planner.errors import InfeasibleError, InputError
from planner.patterns import Pattern
from planner.problem import Problem
from planner.profile import Profile, Timing
from planner.serving.demand import Arrivals, Demand, Lengths, Visit
from planner.serving.goal import Goal
from planner.serving.policy import Policy
from planner.workload import PromptSwitch, Workload

CALM = Conditions(player=Player(start_blocks=2, queue_blocks=4))
SHORT = Demand(lengths=Lengths(seconds=60))
TOY = load_spec("toy")
SEQUENTIAL = Pattern.sequential(TOY)


def _timing(ms: int) -> Timing:
    return Timing(median_us=ms * 1000, p95_us=ms * 1000, samples=1)


PROFILE = Profile(
    model="toy",
    device="cpu-core",
    software="invented",
    denoise=(_timing(50),),
    clean=(_timing(50),),
    decode_first=_timing(50),
    decode=_timing(50),
    link_latency_us=1,
    link_bandwidth_gbps=100,
)


def toy_on(count: int, *, memory_bytes: int | None = None) -> Problem:
    cluster = Cluster.of("cpu-core", count)
    if memory_bytes is not None:
        small = cluster.devices[0].model_copy(update={"memory_bytes": memory_bytes})
        cluster = cluster.model_copy(update={"devices": (small,) * count})
    return Problem(model=TOY, cluster=cluster, workload=Workload(blocks=7), profile=PROFILE)


def policies(*texts: str) -> list[Policy]:
    return [Policy.parse(text) for text in texts]


def test_each_policy_holds_what_its_groups_can_make() -> None:
    answer = sessions_held(
        toy_on(2), policies("single", "shared:1", "shared:1x9"), demand=SHORT, conditions=CALM, pattern=SEQUENTIAL
    )
    held = {row.policy: (row.sessions, row.verdict.binds) for row in answer.rows}
    assert held == {"shared:1": (4, "rate"), "shared:1x9": (4, "rate"), "single": (2, "admission")}
    best = answer.best
    assert best.verdict.text == "rate: 3 x 300.0 ms a block > the 750 ms that it plays (13.33 fps for each)"
    assert best.verdict.one_more.startswith("5 sessions: p95 attainment ")
    assert best.price_per_session_hour == pytest.approx(2 * 0.05 / 4)
    assert best.served is not None
    assert best.served.attainment is not None
    assert best.served.attainment.p95 == 1.0
    # Two sessions of a group need 600 of every 750 ms; the last blocks are made ahead of the viewer.
    assert best.served.busy == pytest.approx((48 / 57.3, 48 / 57.3), abs=0.01)


def test_without_policies_the_best_of_all_comes_first() -> None:
    answer = sessions_held(toy_on(3), demand=SHORT, conditions=CALM)
    held = [row.sessions for row in answer.rows]
    assert held == sorted(held, reverse=True)
    assert {"single", "shared:1", "shared:2", "shared:3"} <= {row.policy for row in answer.rows}
    assert answer.to_json() == sessions_held(toy_on(3), demand=SHORT, conditions=CALM).to_json()


def test_more_sessions_than_memory_is_a_verdict_with_the_sum() -> None:
    roomy = sessions_held(toy_on(1), policies("shared:1"), demand=SHORT, conditions=CALM, pattern=SEQUENTIAL).best
    memory = roomy.stations[0].memory
    one = memory.weights_bytes + memory.session_bytes
    verdict = breaks_first(
        toy_on(1, memory_bytes=one), Policy.parse("shared:1"), demand=SHORT, conditions=CALM, pattern=SEQUENTIAL
    )
    assert (verdict.binds, verdict.one_more) == ("memory", "")
    assert " + K/V 2 x " in verdict.text
    none = sessions_held(toy_on(1, memory_bytes=10**7), policies("single"), demand=SHORT, conditions=CALM).best
    assert (none.sessions, none.verdict.binds, none.served) == (0, "memory", None)
    assert none.verdict.text.startswith("0 sessions: memory: ")
    with pytest.raises(InfeasibleError, match="cannot hold one session: memory"):
        serve(toy_on(1, memory_bytes=10**7), Policy.parse("single"), SHORT, CALM)
    with pytest.raises(InfeasibleError, match=r"9 sessions do not fit a group of 1: .* it holds 1"):
        serve(toy_on(1, memory_bytes=one), Policy.parse("shared:1x9"), SHORT, CALM, pattern=SEQUENTIAL)


def test_a_group_too_slow_for_one_session_says_its_rate() -> None:
    fast = Demand(lengths=Lengths(seconds=20), fps=60)
    found = sessions_held(toy_on(1), policies("single"), demand=fast, conditions=CALM, pattern=SEQUENTIAL).best
    assert found.sessions == 0
    assert found.verdict.text == (
        "0 sessions: rate: 300.0 ms a block > the 200 ms that it plays (40.00 fps for one session)"
    )
    with pytest.raises(InfeasibleError, match="cannot hold one session: rate"):
        serve(toy_on(1), Policy.parse("shared:1"), fast, CALM, pattern=SEQUENTIAL)


def test_jitter_breaks_a_deadline_that_the_rate_would_keep() -> None:
    """Four sessions on two devices need 80 % of the time, and blocks that take up to 1.9 times as long do not fit."""
    wild = CALM.model_copy(update={"jitter": Jitter(passes=Spread(quantiles=(0.5, 1.0, 2.9)))})
    found = sessions_held(toy_on(2), policies("shared:1"), demand=SHORT, conditions=wild, pattern=SEQUENTIAL).best
    assert found.sessions < 4
    assert found.verdict.binds == "deadline"
    assert "in time if no block took longer than planned" in found.verdict.text
    assert found.verdict.one_more.startswith(f"{found.sessions + 1} sessions: ")


def test_a_first_frame_that_must_come_soon_lowers_what_is_held() -> None:
    # The first of two on a device has its first frame after 250 ms, the other after 500 or more.
    found = sessions_held(
        toy_on(2),
        policies("shared:1"),
        goal=Goal(first_frame_s=0.45),
        demand=SHORT,
        conditions=CALM,
        pattern=SEQUENTIAL,
    ).best
    assert (found.sessions, found.verdict.binds) == (2, "first frame")


def test_a_demand_is_served_as_asked_or_the_verdict_says_what_is_missing() -> None:
    visits = tuple(Visit(arrival_s=at, seconds=30) for at in (0, 1, 2))
    trace = Demand(arrivals=Arrivals(kind="trace", sessions=3, visits=visits))
    fits = demand_held(toy_on(2), trace, policies("single", "shared:1"), conditions=CALM, pattern=SEQUENTIAL)
    assert [(fit.policy, fit.kept) for fit in fits] == [("shared:1", True), ("single", False)]
    assert fits[1].verdict.text == "admission: 33.3% of the sessions find no place, above 1.0%"
    assert fits[0].served.at_once_most == 3
    assert [fit.served.policy for fit in fits] == ["shared:1", "single"]


def test_a_group_that_bears_one_session_is_called_what_it_is() -> None:
    """At 30 fps a block plays 400 ms and takes 300: a place to each device, whatever the policy would share."""
    fast = Demand(lengths=Lengths(seconds=20), fps=30)
    asked: dict[str, Any] = {"conditions": CALM, "pattern": SEQUENTIAL}
    fits = demand_held(toy_on(2), fast.of_sessions(2), policies("shared:1"), **asked)
    assert [(fit.policy, fit.served.policy) for fit in fits] == [("single", "single")]
    found = sessions_held(toy_on(2), demand=fast, **asked)
    assert "single" in {row.policy for row in found.rows}
    for row in found.rows:
        (again,) = sessions_held(toy_on(2), policies(row.policy), demand=fast, **asked).rows
        assert again == row


def test_how_many_an_hour_would_be_served() -> None:
    arrivals = Arrivals(kind="poisson", per_hour=400, sessions=400)
    demand = Demand(arrivals=arrivals, lengths=Lengths(kind="exponential", seconds=30))
    (fit,) = demand_held(toy_on(2), demand, policies("shared:1"), conditions=CALM, pattern=SEQUENTIAL)
    assert not fit.kept
    # Four places turn away 1 % at a load of 0.87 sessions: 104 an hour of half a minute each.
    assert fit.most_per_hour == pytest.approx(104, rel=0.3)
    assert fit.served.counted == 360


def test_how_many_an_hour_is_no_number_where_all_may_wait() -> None:
    demand = Demand(
        arrivals=Arrivals(kind="poisson", per_hour=100, sessions=60), lengths=Lengths(kind="exponential", seconds=30)
    )
    waiting = policies("shared:1")[0].model_copy(update={"admission": "queue"})
    bounded = waiting.model_copy(update={"longest_wait_s": 1.0})

    def most(policy: Policy, goal: Goal = Goal()) -> float | None:  # noqa: B008 - frozen value
        (fit,) = demand_held(toy_on(2), demand, (policy,), goal=goal, conditions=CALM, pattern=SEQUENTIAL)
        return fit.most_per_hour

    assert most(waiting) is None
    assert most(bounded) is not None
    assert most(waiting, Goal(first_frame_s=5)) is not None


def test_the_cheapest_that_holds_them() -> None:
    found = cheapest([toy_on(4)], 5, demand=SHORT, conditions=CALM, pattern=SEQUENTIAL)
    offer = found.least_money
    assert offer is not None
    assert offer.held is not None
    assert offer.devices == 3
    assert offer.price_per_hour == pytest.approx(0.15)
    assert offer.held.sessions >= 5
    # Asked for again, the policy that is named is what was found, be it one group or several.
    for sessions in (1, 5):
        (offer,) = cheapest([toy_on(4)], sessions, demand=SHORT, conditions=CALM, pattern=SEQUENTIAL).offers
        assert offer.held is not None
        again = sessions_held(
            toy_on(4), policies(offer.held.policy), demand=SHORT, conditions=CALM, pattern=SEQUENTIAL
        ).best
        assert (again.devices, again.price_per_hour, again.sessions) == (
            offer.devices,
            offer.price_per_hour,
            offer.held.sessions,
        )
    none = cheapest([toy_on(2)], 50, demand=SHORT, conditions=CALM, pattern=SEQUENTIAL)
    assert none.least_money is None
    assert none.offers[0].why == "2 devices hold 4"
    with pytest.raises(InputError, match="at least 1"):
        cheapest([toy_on(1)], 0)


def test_what_is_not_played_is_refused() -> None:
    for conditions in (Conditions(outages=(Outage(rank=0, at_us=1),)), Conditions(jitter=Jitter.of(0.1))):
        with pytest.raises(InputError, match="belong"):
            serve(toy_on(1), Policy.parse("single"), SHORT, conditions)
    with pytest.raises(InputError, match="needs 3 device"):
        sessions_held(toy_on(2), policies("group:3"), demand=SHORT)


def test_the_workloads_own_clip_does_not_count() -> None:
    problem = toy_on(1)
    clip = Workload(blocks=3, switches=(PromptSwitch(at_us=1000),))
    other = problem.model_copy(update={"workload": clip})
    asked = Policy.parse("single"), SHORT, LIVE
    assert serve(problem, *asked) == serve(other, *asked)
