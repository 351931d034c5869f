"""Which rank is found to have failed, by hand: beats go in, the time is told."""

from __future__ import annotations

from executor.world.judge import Finding, Judge
from executor.world.limits import Limits
from executor.world.pulse import Beat, State

LIMITS = Limits(beat_s=0.5, stall_s=15, action_s=300, wait_s=60, prepare_s=1800)


class Court:
    """A judge whose clock is moved by hand, half a second at a time."""

    def __init__(self, ranks: int) -> None:
        self.now = 100.0
        self.judge = Judge(range(ranks), LIMITS, self.now)
        self.beats = [Beat(0, State.PREPARES, "", 0.0)] * ranks

    def rank(self, rank: int, state: State, action: str = "", for_s: float = 0.0) -> None:
        self.beats[rank] = Beat(self.beats[rank].number + 1, state, action, for_s)

    def passes(self, seconds: float, alive: set[int], stall_s: float | None = None) -> Finding | None:
        """The first finding within so long, in which these ranks beat on."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.5
            for rank, (number, state, action, for_s) in enumerate(self.beats):
                if rank in alive:
                    self.beats[rank] = Beat(number + 1, state, action, for_s + 0.5)
                self.judge.hear(rank, self.beats[rank], self.now)
            finding = self.judge.verdict(self.now, stall_s)
            if finding is not None:
                return finding
        return None


def test_ranks_that_beat_and_move_on_are_fine() -> None:
    court = Court(2)
    for action in ("denoise b0.s0", "denoise b1.s0"):
        court.rank(0, State.COMPUTES, action)
        court.rank(1, State.WAITS, "recv kv b0.s0 from r0")
        assert court.passes(290, {0, 1}) is None


def test_a_silent_rank_is_named_with_its_action() -> None:
    court = Court(3)
    for rank in range(3):
        court.rank(rank, State.COMPUTES, f"denoise b{rank}.s0")
    assert court.passes(1, {0, 1, 2}) is None
    assert court.passes(15, {0, 2}) is None
    finding = court.passes(1, {0, 2})
    assert finding is not None
    assert finding[:2] == (1, "denoise b1.s0")
    assert finding.silent
    assert "no sign of life for 15.5 s" in str(finding)


def test_of_several_silent_ranks_the_first_is_named() -> None:
    court = Court(3)
    court.passes(10, {0, 1})
    finding = court.passes(20, {0})
    assert finding is not None
    assert finding.rank == 2


def test_a_rank_that_never_beat_is_silent_too() -> None:
    finding = Court(2).passes(20, {0})
    assert finding is not None
    assert str(finding).startswith("rank 1: no sign of life")


def test_a_broken_connection_shortens_patience() -> None:
    assert Court(2).passes(3, {0}, stall_s=3) is None
    finding = Court(2).passes(4, {0}, stall_s=3)
    assert finding is not None
    assert finding.rank == 1


def test_a_judge_that_was_held_up_blames_nobody() -> None:
    court = Court(2)
    court.passes(5, {0, 1})
    court.now += 100
    assert court.judge.verdict(court.now) is None
    assert court.passes(10, {0}) is None
    finding = court.passes(6, {0})
    assert finding is not None
    assert finding.rank == 1


def test_one_action_may_take_only_so_long() -> None:
    court = Court(2)
    court.rank(0, State.WAITS, "recv kv b1.s0 from r1")
    court.rank(1, State.COMPUTES, "denoise b1.s0")
    assert court.passes(300, {0, 1}) is None
    finding = court.passes(1, {0, 1})
    assert finding is not None
    assert str(finding).startswith("rank 1 at denoise b1.s0: computes one action for 300.5 s, longer than 300 s")
    assert not finding.silent


def test_preparing_may_take_longer() -> None:
    court = Court(1)
    assert court.passes(1799, {0}) is None
    finding = court.passes(2, {0})
    assert finding is not None
    assert "prepares for 1800.5 s" in str(finding)


def test_all_that_wait_are_a_deadlock() -> None:
    court = Court(3)
    court.rank(0, State.WAITS, "recv kv b1.s0 from r1")
    court.rank(1, State.WAITS, "recv kv b0.s0 from r0", for_s=2.0)
    court.rank(2, State.GATHERS, "decode b0")
    assert court.passes(60, {0, 1, 2}) is None
    finding = court.passes(1, {0, 1, 2})
    assert finding is not None
    assert finding[:2] == (1, "recv kv b0.s0 from r0")
    assert "so do all others" in finding.cause
    assert "rank 0 at recv kv b1.s0 from r1" in finding.cause


def test_one_that_computes_is_no_deadlock() -> None:
    court = Court(2)
    court.rank(0, State.WAITS, "recv kv b1.s0 from r1")
    court.rank(1, State.COMPUTES, "denoise b1.s0")
    assert court.passes(200, {0, 1}) is None


def test_who_is_done_may_be_silent_and_who_gathers_may_take_long() -> None:
    court = Court(2)
    court.rank(0, State.GATHERS, "decode b3")
    court.rank(1, State.DONE, "denoise b3.s1")
    assert court.passes(1000, {0}) is None
    court.rank(0, State.DONE)
    assert court.passes(5000, set()) is None
