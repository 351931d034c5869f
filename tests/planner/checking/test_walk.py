"""One rank's program, row by row, and gangs: times by hand."""

from __future__ import annotations

from planner.check import check, violations
from planner.checking.proof import proven
from tests.planner.hand_plans import BY_HAND, GOOD_PAIR, GOOD_TRIO, PAIR, TRIO, broken, by_hand, priced, with_memory


def test_layers_take_their_time() -> None:
    assert broken("live", ("117 279", "116 278")) == [
        "R14 r0 stream kv b0.s1 to r1: starts at 116 us, 'denoise b0.s1' has made its first layer at 117 us",
        "R4 r1 denoise b1.s0: lasts 160 us, what it reads layer by layer makes it 159 us",
    ]
    assert broken("live", ("144 304", "143 304")) == [
        "R6 r1 denoise b1.s0: starts at 143 us, reads kv b0.s1, whose first layer is here at 144 us",
    ]
    assert broken("live", ("117 279", "117 280")) == [
        "R4 r0 stream kv b0.s1 to r1: ends at 280 us, its last layer is there at 279 us",
        "R9 r0 free kv b0.s1: freed at 279 us, before 'stream kv b0.s1 to r1' ends at 280 us",
        "R4 r1 denoise b1.s0: lasts 160 us, what it reads layer by layer makes it 161 us",
    ]


def test_a_gang_is_one() -> None:
    assert broken("gang", ("r1 0 100 tick 0", "r1 1 100 tick 0")) == [
        "R13 r1 tick 0: starts at 1 us, its share on r0 at 0 us",
        "R4 r1 tick 0: lasts 99 us, the cost model says 100 us",
    ]
    assert broken("gang", ("    r0 2209 2359 tick 2\n", ""))[0] == (
        "R2 r0 tick 2: missing, each rank that denoises has its share of it"
    )


def test_posting_takes_the_host_its_time() -> None:
    early = ("r1 209 359 denoise b1.s0", "r1 106 256 denoise b1.s0")
    found = broken("posts", early, ("r1 100 209 recv", "r1 0 109 recv"), ("r0 100 209 send", "r0 0 109 send"))
    assert (
        "R8 r0 send kv b0.s0 to r1: starts at 0 us, before it is posted at 100 us, when 'denoise b0.s0' ends" in found
    )
    problem, text, pattern, placement = BY_HAND["posts"]
    alone = text.replace("r1 100 209 recv kv b0.s0 from r0", "").replace("r1 209 359 denoise", "r1 6 156 denoise")
    recv_first = alone.replace("    r1 6 156", "    r1 100 209 recv kv b0.s0 from r0\n    r1 6 156")
    lines = violations(by_hand(problem, recv_first, pattern, placement), problem)
    late = "R3 r1 denoise b1.s0: starts at 6 us, before 7 us, when 'recv kv b0.s0 from r0' is posted"
    assert late in lines


def test_what_a_rank_will_make_it_may_not_receive() -> None:
    spoilt = "r0 0 109 recv kv b2.s0 from r1\n" + GOOD_TRIO.lstrip()
    assert violations(by_hand(TRIO, spoilt), TRIO) == [
        "R8 r0 denoise b2.s0: makes kv b2.s0, which the rank received before",
        "R8 r0 recv kv b2.s0 from r1: no matching send on r1",
        "R10 r0 denoise b2.s0: waits forever for kv b1.s0 to arrive",
    ]


def test_latents_that_are_the_clip_are_not_freed() -> None:
    spoilt = GOOD_TRIO.rstrip() + "\n    r0 618 618 free latents b2.s0"
    assert violations(by_hand(TRIO, spoilt), TRIO) == ["R9 r0 free latents b2.s0: frees the clip's output"]


def test_memory_to_the_byte() -> None:
    payloads = 2 * 147456 + 1024  # r1, after its pass: K/V of both blocks and latents of its own
    plan = by_hand(PAIR, GOOD_PAIR)
    weights = priced(PAIR, plan).resident_bytes([row.action for row in plan.ranks[1]])
    enough, short = (with_memory(PAIR, 1, weights + payloads - lacking) for lacking in (0, 1))
    check(by_hand(enough, GOOD_PAIR), enough)
    assert proven(plan, enough) is not None
    assert proven(plan, short) is None
    assert violations(by_hand(short, GOOD_PAIR), short) == [
        f"R11 r1 memory: {weights} bytes of weights and working memory and {payloads} bytes of payloads at "
        f"'denoise b1.s0' are more than the device's {weights + payloads - 1} bytes"
    ]
