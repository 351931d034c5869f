"""How much memory a program needs on its rank, at most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from planner.action import Action, Carried, Kind
from planner.cost import Costs
from planner.lower import made_by


def slots_needed(program: Iterable[Action]) -> int:
    """The most K/V versions that a rank holds at once, own and received, if it walks the program in order."""
    return max((held["kv"] for held in _held(program)), default=0)


def peak_bytes(program: Sequence[Action], costs: Costs) -> int:
    """Weights, working memory and payloads of a rank at their joint peak."""
    kinds = {action.kind for action in program}
    resident = costs.resident_bytes(denoises=bool(kinds & {Kind.DENOISE, Kind.COMMIT}), decodes=Kind.DECODE in kinds)
    kv, latents = costs.spec.kv_bytes_per_block, costs.spec.latent_bytes_per_block
    payloads = max((held["kv"] * kv + held["latents"] * latents for held in _held(program)), default=0)
    return resident + payloads


def _held(program: Iterable[Action]) -> Iterator[dict[Carried, int]]:
    """How many payloads of each kind a rank holds after each action; the same dict every time."""
    held: dict[Carried, int] = {"kv": 0, "latents": 0}
    for action in program:
        if action.is_compute:
            for payload in made_by(action):
                held[payload.carries] += 1
        elif action.carries is not None:
            held[action.carries] += {Kind.RECV: 1, Kind.FREE: -1}.get(action.kind, 0)
        yield held
