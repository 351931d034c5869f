"""How often a clip's blocks are finished once it has settled: for streams of too many passes to be planned as such."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

# Rhythms of more blocks are not looked for.
LONGEST_RHYTHM = 8


def pace_us(finished_us: Sequence[int], ramp: int) -> Fraction:
    """Microseconds between blocks, from when each is finished, leaving out `ramp` blocks at the beginning and the end.

    Exact where they settle into a rhythm, else the mean. At least `ramp` * 2 + 2 blocks are needed.
    """
    settled = finished_us[ramp : len(finished_us) - ramp]
    assert len(settled) > 1, "a clip is longer than its ramps"
    gaps = [after - before for before, after in pairwise(settled)]
    for length in range(1, min(LONGEST_RHYTHM, len(gaps) // 2) + 1):
        if gaps[length:] == gaps[:-length]:
            return Fraction(sum(gaps[:length]), length)
    return Fraction(settled[-1] - settled[0], len(gaps))
