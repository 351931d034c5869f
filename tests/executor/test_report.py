"""The demo's report, from cases made up by hand: what each column says, and where its numbers come from."""

from __future__ import annotations

import pytest

from executor.demo import Case, Demo
from executor.launch import Clip
from executor.report import COLUMNS, report, table_rows, timelines
from planner.action import TimedAction
from planner.patterns import Pattern
from planner.problem import Problem
from planner.profile import Profile
from planner.simulate import simulate
from planner.trace import Trace
from tests.planner.clips import cascade, clip, costed, model, plan_of

SPEC = model(2, clean=True, window=3)
SEQUENTIAL = Pattern.sequential(SPEC)


def case(name: str, ranks: int, pattern: Pattern, placement: str = "free", *, slower: int = 1) -> Case:
    """A plan whose run takes so many times as long."""
    problem = clip(SPEC, 4, ranks, denoise_us=(100,), decode_us=(60, 60), latency_us=0, bandwidth_gbps=1e6)
    made = plan_of(costed(problem, pattern, placement))
    rows = tuple(tuple(TimedAction(a, slower * start, slower * end) for a, start, end in rows) for rows in made.ranks)
    measured = Trace(plan_digest=made.digest, kind="measured", last_step=made.last_step, ranks=rows)
    return Case(name, problem, made, simulate(made, problem), Clip(None, [], measured))


def profile_of(problem: Problem) -> Profile:
    assert problem.profile is not None
    return problem.profile


@pytest.fixture(scope="module")
def demo() -> Demo:
    cases = [
        case("sequential-1", 1, SEQUENTIAL, slower=2),
        case("sequential-2", 2, SEQUENTIAL, "free+decoder"),
        case("cascade-1-2", 2, cascade(1), "block"),
    ]
    return Demo(cases, [profile_of(one.problem) for one in cases[:1]])


def test_a_row_by_hand(demo: Demo) -> None:
    first, second, third = (dict(zip(COLUMNS, row, strict=True)) for row in table_rows(demo))
    # Four blocks of two passes, three clean passes of 80 us and four decodes on one rank; the run took twice as long.
    assert first == {
        "pattern": "sequential",
        "ranks": "1",
        "bound ms": "0.0",
        "gap": "0.0%",
        "planned fps": f"{13e6 / 1280:.1f}",
        "simulated fps": f"{13e6 / 1280:.1f}",
        "measured fps": f"{13e6 / 2560:.1f}",
        "error": "-50.0%",
        "period error": "+100.0%",
        "speed-up": "1.00x",
    }
    assert (second["pattern"], second["ranks"]) == ("sequential, decoder apart", "2")
    assert (second["error"], second["period error"]) == ("+0.0%", "+0.0%")
    assert float(third["speed-up"].removesuffix("x")) > float(second["speed-up"].removesuffix("x")) > 2


def test_the_endless_stream_by_hand(demo: Demo) -> None:
    """What a block takes: 340 us on one rank; 280 us of passes, one after the other; 170 us on each of two ranks."""
    lines = [line.strip("| ").split(" | ") for line in report(demo).splitlines()]
    found = {words[0]: words[3:5] for words in lines if len(words) == 6 and words[0].count("-") in (1, 2)}
    assert found == {
        "sequential-1": ["0.3", "devices"],
        "sequential-2": ["0.3", "dependencies"],
        "cascade-1-2": ["0.2", "devices"],
    }


def test_what_a_report_holds(demo: Demo) -> None:
    text = report(demo)
    assert text.count("\n| sequential") == 4
    assert "4 blocks" in text
    assert "0 us + 1000000.00 GB/s" in text
    assert list(timelines(demo)) == [
        f"{name}: {kind}"
        for name in ("sequential-1", "sequential-2", "cascade-1-2")
        for kind in ("planned", "executed")
    ]
