"""Ways to spoil a plan in one place, and what a checker has to say about each.

A mutant changes a draft where chance takes it, and returns part of the line that names the damage (' ... ' stands for
anything). Where a draft offers no such place it raises NoPlace.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.mutants import frees, gangs, kernels, prompts, runs, streams, transfers
from tests.mutants.draft import Draft, NoPlace

__all__ = ["MUTANTS", "Draft", "NoPlace"]

MUTANTS: tuple[Callable[[Draft], str], ...] = tuple(
    mutant for module in (runs, gangs, transfers, streams, frees, prompts, kernels) for mutant in module.MUTANTS
)
