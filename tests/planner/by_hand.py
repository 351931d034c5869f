"""Programs whose every time was reckoned by hand: what timing and simulation, written apart, both have to give."""

from __future__ import annotations

from tests.planner.case_by_hand import Case
from tests.planner.links_by_hand import LINKS
from tests.planner.together_by_hand import TOGETHER

CASES: dict[str, Case] = LINKS | TOGETHER
