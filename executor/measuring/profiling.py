"""`profile()`: times a model on one device, beside as many busy ranks as the plan will have.

Each rank times the same passes, decodes and more in the same turns, all at once, so that each is measured with the
memory traffic of its neighbours; then whole clips, which tell passes and decodes in the loop that will run them; then
the links from rank 0 to the others.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

import torch

from executor.channels.torch_channel import TorchChannel
from executor.errors import WorldError
from executor.measuring.machine import device_name, software
from executor.measuring.profile_clips import Rows, refined, run_clips
from executor.measuring.profile_links import fitted, post_us, sizes, transfers, wiring
from executor.measuring.profile_passes import PassBench
from executor.measuring.profile_side import side_points
from executor.measuring.profile_tables import merged, tables
from executor.measuring.rounds import NO_TIME, REPEATS, Found, in_rounds
from executor.measuring.timer import timer_of
from executor.world.forked import on_local_ranks
from executor.world.process_group import World, device_of, joined
from models.loaded import LoadedModel
from models.spec import ModelSpec
from planner.cluster import Cluster
from planner.problem import Problem
from planner.profile import Profile, Transfer
from planner.workload import Workload

# Makes the model on a device: what is too large to be made once and copied.
Maker: TypeAlias = Callable[[torch.device], LoadedModel]


class Asked(NamedTuple):
    """How to measure: rounds, seconds that a rank may take for it, whether passes of one action run as one batch (on
    CUDA if not said, as when a plan is executed), whether to time passes together at all, and whether to run clips.
    """

    repeats: int = REPEATS
    limit_s: float = float("inf")
    fused: bool | None = None
    together: bool = True
    clips: bool = True


def profile(
    model: LoadedModel | Maker,
    cluster: Cluster,
    *,
    prompt: str,
    busy_ranks: int = 1,
    repeats: int = REPEATS,
    limit_s: float = float("inf"),
    fused: bool | None = None,
    together: bool = True,
    clips: bool = True,
) -> Profile:
    """Measured durations of the model on the cluster's first device, with `busy_ranks` ranks at work at once.

    Medians over all ranks' rounds, first-call costs left out. The link's figures come from echoes of several sizes, or
    are the cluster's own where one rank works alone. What memory or `limit_s` did not allow is listed in the profile.
    Raises WorldError if the model has no decoder, RankError if a rank fails or not even one pass fits.
    """
    make = model.to if isinstance(model, LoadedModel) else model
    job = _Measurement(make, cluster, prompt, Asked(repeats, limit_s, fused, together, clips))
    shares = on_local_ranks(busy_ranks, job.on_world)
    spec = shares[0].spec
    found = profile_of(spec, cluster, [share.found for share in shares], shares[0].device_name)
    rows = [clip for share in shares if not isinstance(share.clips, str) for clip in share.clips]
    lacks = [f"clips: {share.clips}" for share in shares if isinstance(share.clips, str)][:1]
    if rows and not lacks:
        found = refined(found, spec, cluster, rows)
    told = {"busy_ranks": busy_ranks, "missing": (*found.missing, *lacks), **_link_fields(shares)}
    return found.model_copy(update=told)


def measured(model: LoadedModel, prompt: str, asked: Asked) -> Found:
    """Times on the device that the model is on, in this process. Raises WorldError if it has no decoder."""
    if model.vae is None:
        raise WorldError(f"{model.spec.name} has no decoder to profile")
    wan = model.wan
    fused = wan.device.type == "cuda" if asked.fused is None else asked.fused
    passes = PassBench(wan, wan.encode_text(model.embed_prompt(prompt)), fused=fused)
    points = [*side_points(model, prompt), *passes.points(together=asked.together)]
    return in_rounds(points, timer_of(wan.device), repeats=asked.repeats, limit_s=asked.limit_s)


def profile_of(spec: ModelSpec, cluster: Cluster, parts: list[Found], name: str) -> Profile:
    """The profile of one device that these times make; its link's figures are the cluster's."""
    problem = Problem(model=spec, cluster=cluster.first(1), workload=Workload(blocks=1))
    return Profile(
        model=spec.name,
        device=cluster.devices[0].kind,
        software=software(),
        device_name=name,
        taken=f"{datetime.now(UTC):%Y-%m-%d}",
        link_latency_us=cluster.link.latency_us,
        link_bandwidth_gbps=cluster.link.bandwidth_gbps,
        link_sharing=cluster.link.sharing,
        **tables(problem, merged(parts)),
    )


class _Share(NamedTuple):
    """What one rank measured; the transfers are rank 0's."""

    spec: ModelSpec
    found: Found
    device_name: str
    clips: tuple[Rows, ...] | str
    transfers: tuple[Transfer, ...]
    post_us: int


class _Measurement(NamedTuple):
    """What every rank does."""

    make: Maker
    cluster: Cluster
    prompt: str
    asked: Asked

    def on_world(self, world: World) -> _Share:
        device = device_of(self.cluster.devices[0].kind, world.local_rank)
        with joined(world, device):
            model = self.make(device)
            channel = TorchChannel(wiring(world.size))
            channel.barrier()
            begun = time.monotonic()
            found = measured(model, self.prompt, self.asked)
            clips = self.clips(model, found, begun + self.asked.limit_s - time.monotonic())
            channel.barrier()
            if world.size == 1:
                return _Share(model.spec, found, device_name(device), clips, (), 0)
            rows = transfers(channel, sizes(model.spec), device)
            way_us = channel.broadcast(rows[-1].timing.median_us if rows else 0)
            posting = post_us(channel, model.spec.kv_bytes_per_block, device, way_us)
            return _Share(model.spec, found, device_name(device), clips, rows, posting)

    def clips(self, model: LoadedModel, found: Found, left_s: float) -> tuple[Rows, ...] | str:
        """As `run_clips`; of a model whose passes did not all fit, or without time, why there are none."""
        if not self.asked.clips:
            return ()
        full = model.spec.window_blocks - 1
        steps = found.times.get(f"denoise {full}"), found.times.get("decode")
        if steps[0] is None or steps[1] is None:
            return "a pass at full context or a decode could not be measured"
        block_us = model.spec.passes * statistics.median(steps[0]) + statistics.median(steps[1])
        # One clip's time more for the warm-up.
        if (self.asked.repeats + 1) * (full + 3) * block_us / 1e6 > left_s:
            return NO_TIME
        return run_clips(model, self.cluster, self.prompt, fused=self.asked.fused, repeats=self.asked.repeats)


def _link_fields(shares: list[_Share]) -> dict[str, Any]:
    rows = shares[0].transfers
    if not rows:
        return {}
    line = fitted(rows)
    return {
        "link_latency_us": line.latency_us,
        "link_bandwidth_gbps": line.bandwidth_gbps,
        "transfers": rows,
        "post_us": min(share.post_us for share in shares[:2]),
    }
