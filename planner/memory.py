"""How much memory a program needs on its rank, at most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from planner.action import Action, Carried, Kind
from planner.cost import Costs
from planner.lower import made_by


def peak_held(program: Iterable[Action], carried: Carried) -> int:
    """The most payloads of a kind that a rank holds at once, own and received, if it walks the program in order."""
    held = peak = 0
    for action in program:
        if action.is_compute:
            held += sum(payload.carries == carried for payload in made_by(action))
        elif action.carries == carried:
            held += {Kind.RECV: 1, Kind.FREE: -1}.get(action.kind, 0)
        peak = max(peak, held)
    return peak


def peak_bytes(program: Sequence[Action], costs: Costs) -> int:
    """Weights, working memory and payloads of a rank at their peak."""
    kinds = {action.kind for action in program}
    resident = costs.resident_bytes(denoises=bool(kinds & {Kind.DENOISE, Kind.COMMIT}), decodes=Kind.DECODE in kinds)
    spec = costs.spec
    kv = peak_held(program, "kv") * spec.kv_bytes_per_block
    return resident + kv + peak_held(program, "latents") * spec.latent_bytes_per_block
