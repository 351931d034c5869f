"""Programs that never finish, and the first thing that does not happen on each rank that is stuck."""

from __future__ import annotations

from typing import NamedTuple

from planner.action import Action
from planner.cost import Costs
from tests.planner.clips import cascade, clip, costed, model, program


class Deadlock(NamedTuple):
    """A program per rank as text, and the places that are named."""

    costs: Costs
    programs: tuple[str, ...]
    places: str

    @property
    def actions(self) -> list[list[Action]]:
        return [program(text) for text in self.programs]


_READING = costed(clip(model(1), 3, 2, decode=False), cascade(1))
_INDEPENDENT = costed(clip(model(1, window=1), 3, 2, decode=False), cascade(1))
_LIVE = costed(clip(model(2), 2, 2, decode=False), cascade(1, "live-causal"))
_JOINT = costed(clip(model(2), 2, 2, decode=False), cascade(1, "live-joint"), "block")

DEADLOCKS = {
    "each waits for what the other would send later": Deadlock(
        _READING,
        ("recv kv b1.s0 from r1\ndenoise b2.s0\nsend kv b0.s0 to r1", "recv kv b0.s0 from r0\ndenoise b1.s0"),
        "r0 at recv kv b1.s0 from r1, r1 at recv kv b0.s0 from r0",
    ),
    "each frees what the other takes only after its own free": Deadlock(
        _INDEPENDENT,
        (
            "denoise b0.s0\nsend kv b0.s0 to r1\nfree kv b0.s0\nrecv kv b1.s0 from r1",
            "denoise b1.s0\nsend kv b1.s0 to r0\nfree kv b1.s0\nrecv kv b0.s0 from r0",
        ),
        "r0 at send kv b0.s0 to r1, r1 at send kv b1.s0 to r0",
    ),
    "one rank is fine, the other is never sent anything": Deadlock(
        _READING,
        ("denoise b0.s0", "recv kv b0.s0 from r0\ndenoise b1.s0"),
        "r1 at recv kv b0.s0 from r0",
    ),
    "nobody takes what is sent": Deadlock(
        _INDEPENDENT,
        ("denoise b0.s0\nsend kv b0.s0 to r1\nfree kv b0.s0", "denoise b1.s0"),
        "r0 at send kv b0.s0 to r1",
    ),
    "the shares of two gangs in another order on each rank": Deadlock(
        _JOINT,
        ("tick 0 b0.s0\ntick 1 b0.s1", "tick 1 b1.s0\ntick 0"),
        "r0 at tick 0 b0.s0, r1 at tick 1 b1.s0",
    ),
    "the maker of a stream waits for its reader": Deadlock(
        _LIVE,
        (
            "recv latents b1.s0 from r1\nstream kv b0.s1 to r1\ndenoise b1.s1\ndenoise b0.s1",
            "tap kv b0.s1 from r0\ndenoise b1.s0\nsend latents b1.s0 to r0",
        ),
        "r0 at recv latents b1.s0 from r1, r1 at tap kv b0.s1 from r0",
    ),
}
