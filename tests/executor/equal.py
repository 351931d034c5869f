"""Cases that ranks can run, and what the single-process reference makes of each."""

from __future__ import annotations

from typing import NamedTuple

import torch
from diffusers import WanTransformer3DModel
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor

from executor.launch import Clip
from models.checkpoint import wan_config
from models.generate import generate
from models.loaded import LoadedModel
from models.wan import CausalWan
from planner.cluster import Cluster
from planner.errors import InputError
from planner.flow import Flow
from planner.patterns import Pattern, all_patterns
from planner.placement import Placement, all_placements, require_fit
from planner.plan import Plan
from planner.problem import Problem
from planner.workload import Workload
from tests.models.variants import streams, tiny, variant, wan_for
from tests.planner.clips import costed, plan_of

SEED = 3
# A group's ranks multiply other shapes of matrices, which round otherwise.
GROUPS_DIFFER_BY = 2e-5


class Case(NamedTuple):
    """A plan of a problem, and what it is run with."""

    plan: Plan
    problem: Problem
    model: LoadedModel
    prompts: tuple[str, ...]

    @property
    def flow(self) -> Flow:
        placement = Placement.parse(self.plan.placement)
        return Flow(self.problem, self.plan.pattern, placement, self.plan.switch_ticks)

    def __repr__(self) -> str:
        spec, workload = self.problem.model, self.problem.workload
        return (
            f"{self.plan.pattern} {self.plan.placement} on {self.problem.cluster.size}, {workload!r}, switched at "
            f"{self.plan.switch_ticks}, {spec.model_dump(exclude={'vae', 'source', 'name', 'tolerates'})}"
        )


def case(
    problem: Problem, pattern: str | Pattern, placement: str | Placement = "free", switch_ticks: tuple[int, ...] = ()
) -> Case:
    """A list schedule as a plan: what is executed need not be good."""
    spec = problem.model
    chosen = Pattern.parse(pattern, spec) if isinstance(pattern, str) else pattern
    model = tiny()._replace(spec=spec, wan=wan_for(spec))
    prompts = tuple(f"prompt {number}" for number in range(1 + len(switch_ticks)))
    return Case(plan_of(costed(problem, chosen, placement, switch_ticks)), problem, model, prompts)


def deep(layers: int, **changes: object) -> LoadedModel:
    """A tiny model of more layers than the others have; its weights are drawn anew."""
    spec = variant(layers=layers, **changes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformer = WanTransformer3DModel(**wan_config(spec)).eval().requires_grad_(False)
    return tiny()._replace(spec=spec, wan=CausalWan(transformer, spec))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any model, pattern, placement, world of up to 5 ranks and workload that can be run."""
    spec = draw(streams())
    pattern = draw(st.sampled_from(all_patterns(spec)))
    recomputes = pattern.name == "sequential-recompute"
    switch_ticks = tuple(sorted(draw(st.sets(st.integers(0, 12), max_size=2))))
    workload = {
        "blocks": draw(st.integers(1, 6)),
        "decode": recomputes or draw(st.booleans()),
        "encode_text": draw(st.booleans()),
        "switches": [{"at_us": at, "recache": draw(st.booleans())} for at in range(len(switch_ticks))],
    }
    cluster = Cluster.of("cpu-core", draw(st.integers(1, 5)))
    problem = Problem(model=spec, cluster=cluster, workload=Workload.model_validate(workload))
    placement = draw(_placements(problem, pattern))
    try:
        return case(problem, pattern, placement, switch_ticks)
    except InputError:  # a ring of more units than layers
        assume(False)
        raise


@st.composite
def _placements(draw: st.DrawFn, problem: Problem, pattern: Pattern) -> Placement:
    spec = problem.model
    every = all_placements(pattern, spec, problem.cluster, decode=problem.workload.decode, parts=1)
    placement = draw(st.sampled_from([one for one in every if one.degree == 1 or one.method == "ulysses"]))
    try:
        require_fit(placement, pattern, spec)
    except InputError:
        assume(False)
    return placement


def reference(given: Case) -> list[Tensor]:
    """Clean latents of each block, by the single-process loop."""
    wan, pattern, flow = given.model.wan, given.plan.pattern, given.flow
    text = [wan.encode_text(given.model.embed_prompt(prompt)) for prompt in given.prompts]
    recomputes = pattern.name == "sequential-recompute"
    live = pattern.direction if pattern.exchange == "live" else None
    return generate(
        wan,
        text,
        blocks=given.problem.workload.blocks,
        seed=SEED,
        offset=None if recomputes else pattern.offset,
        live=live,
        codec=given.model.vae if recomputes else None,
        switch_ticks=given.plan.switch_ticks,
        recached=flow.recached,
    )


def require_equal(given: Case, clip: Clip | None, wanted: list[Tensor]) -> None:
    """Asserts that a clip is the reference's: bit for bit, or closely where groups share passes."""
    assert clip is not None
    if given.problem.workload.decode:
        assert given.model.vae is not None
        assert clip.frames is not None
        decoder = given.model.vae.decoder()
        found, expected = clip.frames, torch.cat([decoder.decode(block) for block in wanted])
    else:
        found, expected = torch.cat(clip.latents, dim=1), torch.cat(wanted, dim=1)
    if Placement.parse(given.plan.placement).degree == 1:
        assert torch.equal(found, expected)
    else:
        # One level of 255 in a pixel, where a value lies between two.
        apart = 1.0 if given.problem.workload.decode else GROUPS_DIFFER_BY
        torch.testing.assert_close(found.float(), expected.float(), atol=apart, rtol=0)
