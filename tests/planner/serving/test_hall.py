"""Sessions on groups: cases played by hand, and what queueing theory says."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.conditions import Conditions, Jitter, Player, Spread, StartUp
from planner.serving.demand import Arrivals, Demand, Lengths, Session, sessions_of
from planner.serving.hall import play
from planner.serving.policy import Policy
from tests.planner.serving.by_hand import MS, TOY, played, session_of, station_of


def test_two_sessions_in_turn_on_one_group() -> None:
    # s0 0-300, s1 300-600, s0 600-900 (needed at 862.5), s1 900-1200 (at 1162.5), s0 1200-1500, s1 1500-1800.
    tally = played([station_of(300)], [session_of(0, 3), session_of(1, 3)], each=2)
    first, second = tally.visited
    assert (first.first_frame_us, second.first_frame_us) == (300_000, 600_000)
    assert (first.in_time, first.stalls, first.stalled_us) == (2, 1, 37_500)
    assert (second.in_time, second.stalls, second.stalled_us) == (2, 1, 37_500)
    assert first.fps == pytest.approx(33 / 2.1)
    assert first.played_us == 900_000 + 2 * 750_000
    assert (tally.end_us, tally.slots_us, tally.placed_us) == (1_800_000, (1_800_000,), (1_500_000 + 1_800_000,))


def test_the_block_needed_first_comes_first_and_in_turns_it_does_not() -> None:
    """The second viewer plays twice as fast, so needs its blocks sooner."""
    pair = [session_of(0, 3), session_of(1, 3, fps=32.0)]
    by_deadline = played([station_of(250)], pair, each=2).visited
    in_turns = played([station_of(250)], pair, each=2, turn="turns").visited
    # s1's second block is needed at 500 + 281.25: by deadline it ends at 750, in turns at 1000.
    assert (by_deadline[1].in_time, in_turns[1].in_time) == (2, 1)
    # Its third at 1156.25: s0's second, needed at 812.5, goes before it.
    assert by_deadline[1].stalled_us == 93_750


def test_a_block_finished_when_it_is_needed_is_in_time_and_newcomers_come_first() -> None:
    one = played([station_of(750, first_ms=(100, 562))], [session_of(0, 2, fps=9.0)]).visited[0]
    assert (one.in_time, one.stalls) == (2, 0)
    exact = played([station_of(750, first_ms=(100, 1000))], [session_of(0, 2, fps=9.0)]).visited[0]
    assert (exact.in_time, exact.stalls) == (2, 0)
    # s1 comes at 450, while s0's third block is made, and then goes before s0, who plays until 1450.
    pair = [session_of(0, 5, fps=16.0), session_of(1, 1, at_ms=450)]
    assert played([station_of(200)], pair, each=2).visited[1].first_frame_us == 350_000


def test_a_full_queue_holds_the_group_back() -> None:
    tally = played([station_of(100)], [session_of(0, 4)], queue=1)
    # Block 3 may be finished when block 2 is played: at 100 + 562.5 + 750.
    assert tally.end_us == (100 + 562.5 + 750) * MS
    assert tally.slots_us == (400_000,)
    assert played([station_of(100)], [session_of(0, 4)]).end_us == 400_000


def test_a_group_that_waits_for_one_viewer_serves_a_newcomer_at_once() -> None:
    pair = [session_of(0, 4), session_of(1, 1, at_ms=300)]
    late = played([station_of(100)], pair, each=2, queue=1).visited[1]
    assert late.first_frame_us == 100_000


def test_the_first_blocks_are_those_of_the_plan() -> None:
    tally = played([station_of(300, first_ms=(50, 200), tail_ms=40)], [session_of(0, 3)], start=2)
    (only,) = tally.visited
    assert only.first_frame_us == 90_000
    assert tally.end_us == (50 + 200 + 300 + 40) * MS
    # The player starts with the second block, at 290, and is through at 290 + 562.5 + 2 x 750.
    assert only.played_us == 2_352_500


def test_a_prompt_change_shows_in_the_first_block_begun_after_it() -> None:
    one = [session_of(0, 4, switches_ms=(150,))]
    assert played([station_of(100)], one).visited[0].control_us == (150_000,)  # block 2: 200-300
    # Its first pass begins 60 ms before its slot, too early to read the prompt: block 3 shows it.
    assert played([station_of(100, lead_ms=60)], one).visited[0].control_us == (250_000,)
    assert played([station_of(100, recache_ms=25)], one).visited[0].control_us == (150_000,)
    again = played([station_of(100, recache_ms=25)], one, recache=True)
    assert again.visited[0].control_us == (175_000,)
    assert again.end_us == 425_000


def test_a_prompt_change_that_nothing_shows_is_none() -> None:
    """All four blocks are made in 400 ms, and played for 2812: what changes in between is never seen."""
    one = [session_of(0, 4, switches_ms=(150, 1000, 2000))]
    assert played([station_of(100)], one).visited[0].control_us == (150_000, None, None)


def test_no_rounding_adds_up_over_a_long_session() -> None:
    """A viewer of 23.976 frames a second plays the last of 10,000 blocks when the clip's frames say."""
    fps, blocks = 23.976, 10_000
    (only,) = played([station_of(1)], [session_of(0, blocks, fps=fps)]).visited
    assert only.played_us == 1000 + round((9 + 12 * (blocks - 1)) * 1e6 / fps)


def test_sessions_that_share_ticks_wait_for_each_others() -> None:
    """Two at once: the three ticks after a block's slot are every second one, until the other's last is finished."""
    pair = [session_of(0, 1), session_of(1, 2)]
    apart = played([station_of(100, tail_ms=300)], pair, each=2)
    assert [row.first_frame_us for row in apart.visited] == [400_000, 500_000]
    together = played([station_of(100, tail_ms=300, joint=True)], pair, each=2)
    assert [row.first_frame_us for row in together.visited] == [700_000, 800_000]
    assert together.end_us == 900_000


def test_who_finds_no_place_is_turned_away_or_waits() -> None:
    three = [session_of(number, 2, at_ms=number * 10) for number in range(3)]
    rejected = played([station_of(100)], three).visited
    assert [row.group for row in rejected] == [0, None, None]
    queued = played([station_of(100)], three, admission="queue").visited
    assert [row.waited_us for row in queued] == [0, 190_000, 380_000]
    assert [row.first_frame_us for row in queued] == [100_000, 290_000, 480_000]
    impatient = played([station_of(100)], three, admission="queue", longest_wait_s=0.3).visited
    assert [(row.group, row.waited_us) for row in impatient] == [(0, 0), (0, 190_000), (None, 300_000)]


def test_a_group_that_could_not_give_all_their_frames_takes_nobody_more() -> None:
    pair = [session_of(0, 2), session_of(1, 2)]
    assert [row.group for row in played([station_of(400)], pair, each=2, admission="rate").visited] == [0, None]
    assert [row.group for row in played([station_of(375)], pair, each=2, admission="rate").visited] == [0, 0]


def test_a_newcomer_goes_to_the_smallest_group_that_is_quick_enough() -> None:
    groups = [station_of(100, devices=4), station_of(700, devices=1), station_of(1000, devices=1)]
    pair = [session_of(0, 2, fps=24.0), session_of(1, 2), session_of(2, 2)]
    assert [row.group for row in played(groups, pair).visited] == [0, 1, 2]
    # Quick as it is, the large group is left for those who need it.
    quick = [station_of(100, devices=4), station_of(300, devices=1)]
    assert [row.group for row in played(quick, [session_of(0, 2)]).visited] == [1]


def test_groups_begin_when_they_are_ready() -> None:
    conditions = Conditions(start_up=StartUp(ready_us=5000, compile_us=700))
    policy = Policy.parse("groups:1")
    tally = play([station_of(100)], [1], policy, [session_of(0, 2)], TOY, conditions)
    assert tally.visited[0].first_frame_us == 5000 + 700 + 100_000
    assert tally.end_us == 205_700


def test_jitter_stretches_each_block_and_the_same_seed_is_the_same_run() -> None:
    jitter = Jitter(passes=Spread(quantiles=(1.5, 1.5)), ranks=Spread(quantiles=(2.0, 2.0)))
    policy, one = Policy.parse("groups:1"), [session_of(0, 4)]
    steady = play([station_of(100)], [1], policy, one, TOY, Conditions(jitter=jitter))
    assert steady.end_us == 4 * 300_000

    def run(seed: int) -> str:
        drawn = Conditions(seed=seed, jitter=Jitter.of(0.3), player=Player(start_blocks=2, queue_blocks=3))
        return play([station_of(400)], [2], policy, [session_of(0, 9), session_of(1, 9)], TOY, drawn).model_dump_json()

    assert run(1) == run(1)
    assert run(1) != run(2)


def erlang_b(servers: int, load: float) -> float:
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked


def _poisson(load: float, lengths: Lengths, sessions: int) -> tuple[tuple[Session, ...], float]:
    """Sessions whose mean stay on one of some groups times their rate is a load, and their mean stay in seconds."""
    demand = Demand(arrivals=Arrivals(kind="poisson", per_hour=3600.0, sessions=sessions), lengths=lengths)
    stay = sum(session.blocks for session in sessions_of(demand, TOY, 3)) / sessions * 0.1
    rate = Arrivals(kind="poisson", per_hour=3600 * load / stay, sessions=sessions)
    return sessions_of(demand.model_copy(update={"arrivals": rate}), TOY, 3), stay


@pytest.mark.parametrize(
    "lengths",
    [
        Lengths(kind="exponential", seconds=8.0),
        Lengths(kind="log-normal", seconds=8.0, sigma=0.8),
        Lengths(seconds=8.0),
    ],
)
def test_as_many_are_turned_away_as_erlang_says(lengths: Lengths) -> None:
    """Whatever the lengths' distribution: 4 places, a load of 3; 20.6 % blocked, give or take three deviations."""
    sessions, stay = _poisson(3.0, lengths, 6000)
    tally = played([station_of(100)] * 4, sessions)
    blocked = sum(row.group is None for row in tally.visited) / len(sessions)
    assert blocked == pytest.approx(erlang_b(4, 3.0), abs=0.03)
    # Little's law: those let in an hour, times how long they stay.
    let_in = (1 - blocked) * len(sessions) / (tally.end_us / 1e6)
    assert sum(tally.placed_us) / tally.end_us == pytest.approx(let_in * stay, rel=0.03)


def test_as_many_wait_as_erlang_says() -> None:
    """M/M/4 at a load of 3: 50.9 % wait, on average stay / (4 - 3) each."""
    sessions, stay = _poisson(3.0, Lengths(kind="exponential", seconds=8.0), 8000)
    tally = played([station_of(100)] * 4, sessions, admission="queue")
    blocked = erlang_b(4, 3.0)
    waits = blocked / (1 - 3 / 4 * (1 - blocked))
    assert sum(row.waited_us > 0 for row in tally.visited) / len(sessions) == pytest.approx(waits, abs=0.06)
    mean_s = sum(row.waited_us for row in tally.visited) / len(sessions) / 1e6
    assert mean_s == pytest.approx(waits * stay, rel=0.25)


@st.composite
def crowds(draw: st.DrawFn) -> list[Session]:
    gaps = draw(st.lists(st.integers(0, 900), min_size=1, max_size=12))
    at, made = 0, []
    for number, gap in enumerate(gaps):
        at += gap
        made.append(session_of(number, draw(st.integers(1, 6)), at_ms=at, fps=draw(st.sampled_from([8.0, 16.0, 30.0]))))
    return made


@given(
    crowds(),
    st.lists(st.integers(1, 900), min_size=1, max_size=3),
    st.integers(1, 3),
    st.sampled_from(["reject", "queue", "rate"]),
    st.sampled_from(["deadline", "turns"]),
    st.none() | st.integers(2, 4),
)
@settings(max_examples=60)
def test_nobody_is_lost_and_no_group_does_two_things_at_once(
    crowd: list[Session], periods: list[int], each: int, admission: str, turn: str, queue: int | None
) -> None:
    stations = [station_of(period, tail_ms=7) for period in periods]
    tally = played(stations, crowd, each=each, queue=queue, start=2, admission=admission, turn=turn)
    assert sorted(row.number for row in tally.visited) == [session.number for session in crowd]
    served = [row for row in tally.visited if row.group is not None]
    assert admission != "queue" or len(served) == len(crowd)
    blocks = Counter[int]()
    for row in served:
        assert row.group is not None
        blocks[row.group] += row.blocks
        assert 0 <= row.in_time <= row.blocks
        assert (row.in_time == row.blocks) or row.stalls
        fps = crowd[row.number].fps
        assert row.fps <= fps * 1.0001
        stopped_s = row.frames / row.fps - row.frames / fps
        assert math.isclose(stopped_s * 1e6, row.stalled_us, abs_tol=20)
    assert tally.slots_us == tuple(blocks[number] * period * MS for number, period in enumerate(periods))
    assert all(us <= tally.end_us for us in tally.slots_us)
    assert tally.most <= each * len(periods)
