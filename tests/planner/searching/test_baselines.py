"""The published schedules: which pattern on which devices, as their papers and repositories have them."""

from __future__ import annotations

import pytest

from models.catalog import CATALOG, load_spec
from planner.cluster import Cluster
from planner.placement import layout, require_fit
from planner.problem import Problem
from planner.search import plan
from planner.searching.baselines import baselines
from planner.workload import Workload

SELF_FORCING = load_spec("self-forcing-1.3b")


def named(ranks: int, *, decode: bool = True, model: str = "self-forcing-1.3b") -> dict[str, str]:
    return {item.name: f"{item.pattern} {item.placement}" for item in baselines(load_spec(model), ranks, decode=decode)}


def test_self_forcing_on_eight_devices() -> None:
    # Four steps and a clean pass.
    assert named(8) == {
        "sequential on one GPU (Self-Forcing)": "sequential free@1",
        "sequential and a VAE GPU": "sequential free+decoder@2",
        "sequential, Ulysses on 6 (vllm-omni, FlashDreams)": "sequential free*ulysses:6@6",
        "one rank a step and a VAE rank (LiveAvatar)": "cascade:1 step+decoder@6",
        "n+1 ranks and VAE stages (WaveForcing)": "cascade:1:live-causal step+decoder:3@8",
        "cascade, joint, a GPU a pass (Block Cascading)": "cascade:1:live-joint block@5",
        "one GPU, batched window (RollingForcing)": "cascade:1:live-joint batched@1",
        "layer ring (StreamDiffusionV2)": "layers ring",
    }


def test_without_decoding_nobody_decodes() -> None:
    found = named(8, decode=False)
    assert "sequential and a VAE GPU" not in found
    assert not any("decoder" in text for text in found.values())
    assert found["n+1 ranks and VAE stages (WaveForcing)"] == "cascade:1:live-causal step@5"


@pytest.mark.parametrize(("ranks", "degree"), [(1, None), (2, 2), (3, 3), (5, 4), (7, 6), (12, 12), (13, 12)])
def test_the_widest_group_that_divides_the_heads(ranks: int, degree: int | None) -> None:
    found = [text for name, text in named(ranks).items() if "Ulysses" in name]
    assert found == ([] if degree is None else [f"sequential free*ulysses:{degree}@{degree}"])


@pytest.mark.parametrize("model", CATALOG)
@pytest.mark.parametrize("decode", [True, False])
def test_every_schedule_fits_the_model_where_there_are_ranks(model: str, decode: bool) -> None:
    spec, cluster = load_spec(model), Cluster.of("h100", 40)
    for item in baselines(spec, 40, decode=decode):
        require_fit(item.placement, item.pattern, spec)
        assert layout(item.placement, cluster).denoising >= 1


def test_a_published_schedule_can_be_planned_by_its_pattern_and_placement() -> None:
    problem = Problem(model=SELF_FORCING, cluster=Cluster.of("h100", 8), workload=Workload(blocks=4))
    table = {row.name: row for row in plan(problem).alternatives}
    for item in baselines(SELF_FORCING, 8, decode=True):
        alone = plan(problem, pattern=item.pattern, placement=item.placement)
        assert (alone.pattern, alone.placement) == (item.pattern, str(item.placement))
        # In the table of the best plan it stands with a first schedule, hardly worse than the best of its own.
        row = table[item.name]
        assert (row.pattern, row.placement) == (str(item.pattern), str(item.placement))
        assert row.value is not None
        assert alone.makespan_us <= 1.001 * row.value <= 1.05 * alone.makespan_us
