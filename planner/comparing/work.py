"""What a run's devices do: how many actions of each kind, for how long, and how much of it transfers hold up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from planner.action import COMPUTE, Kind
from planner.comparing.path import longest_path
from planner.measuring.blocks import Often
from planner.replaying.followed import Followed
from planner.rows import makespan_us
from planner.value import Value

Programs = Sequence[Sequence[Often]]


class Work(Value):
    """One kind of compute action on each side: how many, and their time over all ranks."""

    kind: str
    one_count: int
    one_us: int
    other_count: int
    other_us: int


class Stretch(Value):
    """What a longest path spends on one thing, on each side."""

    what: str
    one_us: int
    other_us: int


def works(one: Programs, other: Programs) -> tuple[Work, ...]:
    """By kind, those that either side has."""
    (counts, times), (other_counts, other_times) = _summed(one), _summed(other)
    return tuple(
        Work(
            kind=str(kind),
            one_count=counts[kind],
            one_us=times[kind],
            other_count=other_counts[kind],
            other_us=other_times[kind],
        )
        for kind in Kind
        if counts[kind] or other_counts[kind]
    )


def stretches(one: Followed, other: Followed) -> tuple[Stretch, ...]:
    """The longest paths side by side, what takes the most on either first."""
    mine, theirs = longest_path(one), longest_path(other)
    found = [Stretch(what=what, one_us=mine.get(what, 0), other_us=theirs.get(what, 0)) for what in {**mine, **theirs}]
    return tuple(sorted(found, key=lambda part: (-max(part.one_us, part.other_us), part.what)))


def exposed_us(run: Followed) -> int:
    """How much sooner the run would be over if transfers took no time."""
    none = run.assumed._replace(wires=(0,) * len(run.assumed.wires))
    return makespan_us(run.rows) - makespan_us(run.played(none).rows)


def _summed(programs: Programs) -> tuple[Counter[Kind], Counter[Kind]]:
    counts: Counter[Kind] = Counter()
    times: Counter[Kind] = Counter()
    for program in programs:
        for (action, start, end), often in program:
            if action.kind in COMPUTE:
                counts[action.kind] += often
                times[action.kind] += often * (end - start)
    return counts, times
