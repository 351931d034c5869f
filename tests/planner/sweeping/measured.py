"""A profile by hand, with or without quartiles."""

from __future__ import annotations

from models.spec import ModelSpec
from planner.profile import Profile, Timing


def profile(spec: ModelSpec, pass_us: int, decode_us: int, spread: float | None = None) -> Profile:
    """All passes alike, a decode whose first block is no quicker; `spread`: the quartiles' distance as a share."""

    def timing(us: int) -> Timing:
        around = {} if spread is None else {"lower_us": round(us * (1 - spread)), "upper_us": round(us * (1 + spread))}
        return Timing(median_us=us, p95_us=us * 2, samples=9, **around)

    return Profile(
        model=spec.name,
        device="cpu-core",
        software="by hand",
        denoise=(timing(pass_us),),
        clean=(timing(pass_us),),
        decode_first=timing(decode_us),
        decode=timing(decode_us),
        link_latency_us=10,
        link_bandwidth_gbps=100.0,
    )
