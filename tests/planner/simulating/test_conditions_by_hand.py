"""Each condition by itself on clips whose times can be reckoned by hand."""

from __future__ import annotations

import pytest

from planner.conditions import Conditions, Outage, Player, SlowLink, StartUp, Straggler
from planner.errors import InputError
from planner.rows import rows_from_text
from planner.simulate import simulate
from tests.planner.by_hand import CASES
from tests.planner.clips import clip, model, plan_of
from tests.planner.simulating.played import by_hand, handed_on, in_a_row, meeting, require, spans


def test_a_straggler() -> None:
    assert spans(handed_on(), Conditions(stragglers=(Straggler(rank=0, factor=2),))) == [
        (0, 200),
        (200, 349),
        (200, 349),
        (349, 499),
    ]


@pytest.mark.parametrize(
    ("window", "end"),
    [
        ({}, 474),
        ({"from_us": 249}, 474),
        ({"from_us": 250}, 399),  # it holds for what begins within
        ({"until_us": 249}, 399),
        ({"until_us": 250}, 474),
    ],
)
def test_a_straggler_for_a_while(window: dict[str, int], end: int) -> None:
    straggler = Straggler.model_validate({"rank": 1, "factor": 1.5} | window)
    assert spans(handed_on(), Conditions(stragglers=(straggler,)))[-1] == (249, end)


def test_stragglers_multiply_and_are_rounded_once() -> None:
    both = (Straggler(rank=0, factor=1.004), Straggler(rank=0, factor=1.004))
    assert spans(handed_on(), Conditions(stragglers=both))[0] == (0, 101)  # rounded one by one it were 100


@pytest.mark.parametrize(
    ("ends", "factor"),
    [({}, 3), ({"source": 0}, 3), ({"target": 1}, 3), ({"source": 0, "target": 1}, 3), ({"source": 1}, 1)],
)
def test_a_slow_link(ends: dict[str, int], factor: int) -> None:
    slow = SlowLink.model_validate({"factor": 3} | ends)
    over = 100 + 149 * factor
    assert spans(handed_on(), Conditions(slow_links=(slow,)))[1:] == [(100, over), (100, over), (over, over + 150)]


def test_start_up_and_compilation() -> None:
    assert spans(handed_on(), Conditions(start_up=StartUp(ready_us=1000)))[0] == (1000, 1100)
    # Blocks 1 and 2 are of one kind, block 0 is of another.
    assert spans(in_a_row(3), Conditions(start_up=StartUp(compile_us=50))) == [(0, 150), (150, 300), (300, 400)]


@pytest.mark.parametrize(
    ("rank", "at", "back", "expected"),
    [
        (0, 50, 80, [(80, 180), (180, 329), (180, 329), (329, 479)]),  # a pass begins anew
        (0, 100, 130, [(0, 100), (130, 279), (130, 279), (279, 429)]),  # the send is posted when the rank is back
        (1, 120, 130, [(0, 100), (130, 279), (130, 279), (279, 429)]),  # the transfer begins anew, whoever was out
        (0, 120, 130, [(0, 100), (130, 279), (130, 279), (279, 429)]),
        (1, 0, 130, [(0, 100), (130, 279), (130, 279), (279, 429)]),  # the receive is posted when the rank is back
        (1, 249, 300, [(0, 100), (100, 249), (100, 249), (300, 450)]),  # what ends just then is not cut
        (1, 398, 500, [(0, 100), (100, 249), (100, 249), (500, 650)]),
        (1, 399, 500, [(0, 100), (100, 249), (100, 249), (249, 399)]),
        (0, 249, 10**6, [(0, 100), (100, 249), (100, 249), (249, 399)]),  # nothing needs it any more
    ],
)
def test_an_outage(rank: int, at: int, back: int, expected: list[tuple[int, int]]) -> None:
    gone = Conditions(outages=(Outage(rank=rank, at_us=at, back_us=back),))
    assert spans(handed_on(), gone) == expected
    for turns in ("ready", "fair"):
        assert spans(handed_on(), gone.model_copy(update={"turns": turns})) == expected


def test_outages_one_after_the_other() -> None:
    gone = (Outage(rank=0, at_us=50, back_us=80), Outage(rank=0, at_us=150, back_us=170))
    assert spans(in_a_row(1), Conditions(outages=gone[:1])) == [(80, 180)]
    two = (Outage(rank=0, at_us=150, back_us=170), Outage(rank=0, at_us=50, back_us=80))
    assert spans(handed_on(), Conditions(outages=two))[0] == (170, 270)


def test_a_gang_begins_anew_with_one_that_was_out() -> None:
    case = CASES["a group starts and ends together"]
    rows = rows_from_text(iter(enumerate(case.lines, start=1)), 2)
    require(
        (case.problem, plan_of(case.costs, rows)),
        Conditions(outages=(Outage(rank=1, at_us=50, back_us=60),)),
        """
            r0 0 20 text p0
            r0 20 26 send text p0 to r1
            r0 60 120 denoise b0.s0
            r1 20 26 recv text p0 from r0
            r1 60 120 denoise b0.s0
            r1 120 120 free text p0
        """,
    )


def test_a_rank_that_is_out_for_good_leaves_what_needs_it() -> None:
    problem, made = handed_on()
    trace = simulate(made, problem, Conditions(outages=(Outage(rank=1, at_us=300),)))
    assert trace.stopped == "r1 was out for good at 0.000 s; finished block 0 of 2; stuck: r1 at denoise b1.s0"
    assert [[str(row.action) for row in rank] for rank in trace.ranks] == [
        ["denoise b0.s0", "send kv b0.s0 to r1"],
        ["recv kv b0.s0 from r0"],
    ]
    assert (trace.finished_us, trace.finished_blocks, trace.makespan_us) == ([100], 1, 249)


def test_turns_that_wait_for_a_slow_sender() -> None:
    slow = Conditions(stragglers=(Straggler(rank=0, factor=3),))
    planned, ready, fair = (
        spans(meeting(), slow.model_copy(update={"turns": turns})) for turns in ("planned", "ready", "fair")
    )
    # r0's transfer and r1's; the plan has r0's first.
    assert (planned[1], planned[3]) == ((300, 449), (449, 598))
    assert (ready[1], ready[3]) == ((300, 449), (100, 249))
    assert fair == ready


def test_a_fair_share_of_a_port() -> None:
    """r1's 144 us of bytes are on the way from 105, after a latency of 5, and r0's from 155: r1 has 94 us left then,
    which take 188 beside r0's; r0 has 50 left at 343 and the port to itself.
    """
    slow = Conditions(stragglers=(Straggler(rank=0, factor=1.5),), turns="fair")
    found = spans(meeting(), slow)
    assert (found[1], found[3]) == ((150, 393), (100, 343))


def test_a_fair_transfer_that_an_outage_cuts_leaves_the_wire_to_others() -> None:
    """r0 is out from 205 to 1000: by then both have had 50 us of 144; r1 has 94 left."""
    gone = Conditions(outages=(Outage(rank=0, at_us=205, back_us=1000),), turns="fair")
    found = spans(meeting(), gone)
    assert (found[1], found[3]) == ((1000, 1149), (100, 299))


def test_a_host_posts_one_by_one() -> None:
    """Each post takes 40 us of a host that all three ranks share: r0, r1 and r2 ask at 100, r2 again at 220."""
    problem, made = meeting(post_us=40)
    free = spans((problem, made), Conditions())
    assert (free[1][0], free[3][0]) == (100, 249)
    found = spans((problem, made), Conditions(host_slots=1))
    # r0's send is posted at 100, r1's at 140, r2's receives at 180 and 220.
    assert (found[1], found[3]) == ((180, 329), (329, 478))
    assert spans((problem, made), Conditions(host_slots=3)) == free


def test_a_rank_that_goes_out_while_it_waits_for_its_host_asks_again() -> None:
    """Both ask at 100; r0 has the host until 140, r1 is out from 120 to 200 and posts then."""
    case = by_hand(
        clip(model(1, window=1), 3, 2, decode=False, measured={"post_us": 40}),
        "denoise b0.s0\nsend kv b0.s0 to r1",
        "denoise b1.s0\nrecv kv b0.s0 from r0\ndenoise b2.s0",
    )
    gone = Conditions(host_slots=1, outages=(Outage(rank=1, at_us=120, back_us=200),))
    assert spans(case, gone) == [(0, 100), (200, 349), (0, 100), (200, 349), (240, 340)]


def test_a_rank_that_is_out_frees_when_it_is_back() -> None:
    require(
        in_a_row(1),
        Conditions(outages=(Outage(rank=0, at_us=100, back_us=150),)),
        """
            r0 0 100 denoise b0.s0
            r0 150 150 free kv b0.s0
        """,
    )


def test_a_slow_viewer_holds_the_run_back() -> None:
    """The toy shows block 0, one frame, for 62 500 us, and the others for 250 000 us."""
    one = Conditions(player=Player(queue_blocks=1))
    assert spans(in_a_row(4), one) == [(0, 100), (100, 200), (62_600, 62_700), (312_600, 312_700)]
    two = Conditions(player=Player(start_blocks=2, queue_blocks=2))
    assert [start for start, _ in spans(in_a_row(4), two)] == [0, 100, 200, 62_700]
    assert [start for start, _ in spans(in_a_row(4), Conditions(player=Player(start_blocks=4)))] == [0, 100, 200, 300]


@pytest.mark.parametrize(
    ("conditions", "field"),
    [
        (Conditions(stragglers=(Straggler(rank=2, factor=2),)), "stragglers"),
        (Conditions(outages=(Outage(rank=2, at_us=2),)), "outages"),
        (Conditions(slow_links=(SlowLink(source=2, factor=2),)), "slow_links"),
        (Conditions(slow_links=(SlowLink(target=2, factor=2),)), "slow_links"),
    ],
)
def test_a_rank_that_there_is_not(conditions: Conditions, field: str) -> None:
    problem, made = handed_on()
    with pytest.raises(InputError, match=rf"^conditions: {field}: rank 2: the cluster has ranks 0 to 1$"):
        simulate(made, problem, conditions)


def test_a_straggler_ends_after_it_begins() -> None:
    with pytest.raises(InputError, match=r"until_us: must come after from_us \(100\)"):
        Straggler.from_data({"rank": 0, "factor": 2, "from_us": 100, "until_us": 100}, "straggler")
