"""The Pareto front of any figures."""

from __future__ import annotations

from collections.abc import Sequence


def unbeaten(figures: Sequence[tuple[float, ...]]) -> list[int]:
    """The places of those that no other beats or equals in all figures, smaller being better; of equals the first.

    In the order of their figures.
    """
    kept: list[int] = []
    # Whoever comes later is no better in the first figure, so only those before can beat him.
    for at in sorted(range(len(figures)), key=lambda at: (*figures[at], at)):
        if not any(all(a <= b for a, b in zip(figures[other], figures[at], strict=True)) for other in kept):
            kept.append(at)
    return kept
