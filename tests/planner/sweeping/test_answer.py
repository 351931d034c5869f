"""A point's row: what is chosen, what it says where nothing can run, and how sure it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalog import load_spec
from planner import shipped
from planner.cluster import Cluster
from planner.files import write_document
from planner.problem import Problem
from planner.search import plan
from planner.sweeping.basis import Basis
from planner.sweeping.candidates import asked_patterns, candidates
from planner.sweeping.grid import Grid
from planner.sweeping.row import Row
from planner.whatif import whatif
from planner.workload import Workload
from tests.planner.sweeping.measured import profile


def rows(**axes: Any) -> tuple[Row, ...]:
    return whatif(Grid.from_data(axes, "grid"), workers=1).rows


def row(**axes: Any) -> Row:
    (found,) = rows(**axes)
    return found


def measured(pass_us: int = 10_000, decode_us: int = 5_000, spread: float | None = None) -> dict[str, Any]:
    toy = load_spec("toy")
    return {"model": "toy", "device": "cpu-core", "profile": [profile(toy, pass_us, decode_us, spread)]}


def test_figures_by_hand() -> None:
    """Four passes of 10 ms, a clean one and a decode of 5: 55 ms a block of 12 frames, 7 blocks in 6 x 55 + 45 ms."""
    found = row(**measured(), price=3.6, blocks=7)
    assert (found.period_us, found.first_frame_us, found.devices) == (55_000, 45_000, 1)
    assert found.steady_fps == pytest.approx(12 / 0.055)
    assert found.fps == pytest.approx((9 + 6 * 12) / (0.055 * 6 + 0.045))
    assert found.real_time == pytest.approx(12 / 0.055 / 16)
    # A thousandth of money a second, 55 ms for 12 frames of which a minute has 960.
    assert found.money_per_minute == pytest.approx(0.001 * 0.055 * 80)
    assert (found.verdict, found.method, found.gap) == ("ok", "list schedule", 0.0)


def test_quartiles_make_the_interval() -> None:
    """Everything a tenth quicker or slower: so is a single device."""
    found = row(**measured(spread=0.1))
    assert found.first_frame_low_us == pytest.approx(0.9 * 45_000, rel=1e-4)
    assert found.first_frame_high_us == pytest.approx(1.1 * 45_000, rel=1e-4)
    assert found.fps_low == pytest.approx(found.figure("fps") / 1.1, rel=1e-4)
    assert found.fps_high == pytest.approx(found.figure("fps") / 0.9, rel=1e-4)
    assert "by hand" in found.source


def test_without_quartiles_no_interval() -> None:
    found = row(**measured())
    assert found.fps_low == found.fps == found.fps_high
    assert "no quartiles" in found.source


def test_a_data_sheet_says_how_sure_it_is() -> None:
    found = row(model="self-forcing-1.3b", device="h100")
    assert "19% to 60%" in found.source
    assert found.figure("fps_low") < 0.5 * found.figure("fps") < found.figure("fps") < found.figure("fps_high")


@settings(max_examples=15)
@given(
    st.sampled_from(["self-forcing-1.3b", "krea-realtime-14b"]),
    st.sampled_from(["h100", "l40s", "4090"]),
    st.integers(1, 5),
    st.sampled_from([None, "sequential", "cascade", "cascade:live-joint"]),
)
def test_intervals_hold_their_figure(model: str, device: str, count: int, pattern: str | None) -> None:
    asked = {"model": model, "device": device, "count": count} | ({} if pattern is None else {"pattern": pattern})
    found = row(**asked)
    if not found.is_possible:
        assert found.verdict.startswith("0 sessions: ")
        return
    assert found.figure("fps_low") <= found.figure("fps") <= found.figure("fps_high")
    assert found.figure("steady_fps_low") <= found.figure("steady_fps") <= found.figure("steady_fps_high")
    low, high = found.figure("first_frame_low_us"), found.figure("first_frame_high_us")
    assert low <= found.figure("first_frame_us") <= high
    assert found.figure("period_us") >= found.figure("bound_us") * (1 - 1e-9)
    assert found.figure("devices") <= found.figure("ranks") <= count


def test_more_devices_are_no_worse() -> None:
    found = rows(model="krea-realtime-14b", device="h100", count="1-8", pattern="sequential")
    fps = [each.figure("steady_fps") for each in found]
    assert fps == sorted(fps)
    assert fps[0] < fps[4]


def test_money_is_a_rescale() -> None:
    cheap, dear = rows(model="self-forcing-1.3b", device="h100", count=2, price=[1, 3])
    assert dear.figure("money_per_minute") == pytest.approx(3 * cheap.figure("money_per_minute"))
    assert dear._replace(point=0, price_per_hour=1.0, money_per_minute=cheap.money_per_minute) == cheap


def test_what_does_not_fit_says_the_sum() -> None:
    found = row(model="wan-14b", device="l40s")
    assert not found.is_possible
    assert found.fps is None
    assert found.verdict == "0 sessions: weights and working memory 29.3 GB + K/V of one pass 26.8 GB > 48.0 GB of l40s"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"pattern": "cascade:9"}, "offset must be 1..5"),
        ({"pattern": "sequential", "offset": 2}, "no such pattern"),
        ({"placement": "free@4", "count": 2}, "asks for 4 rank(s), the cluster has 2"),
        ({"parallel": "ulysses:3", "count": 2}, "no pattern can be run as ulysses:3"),
        ({"pattern": "cascade:1", "placement": "ring"}, "'ring' belongs to pattern 'layers'"),
        ({"pattern": "sequential-recompute", "decode": False}, "reads decoded pixels"),
    ],
)
def test_what_cannot_be_is_a_row(asked: dict[str, Any], why: str) -> None:
    found = row(model="self-forcing-1.3b", **asked)
    assert not found.is_possible
    assert why in found.verdict


def test_a_profile_of_another_device_or_size() -> None:
    for other in ({"device": "h100"}, {"resolution": "128x64"}):
        found = row(**measured() | other)
        assert "profile: measured" in found.verdict


def test_shipped_profile_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = load_spec("toy")
    write_document(profile(toy, 10_000, 5_000), str(tmp_path / "toy-cpu-core.json"))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    asked = {"model": "toy", "device": "cpu-core"}
    assert row(**asked).period_us == row(**asked, profile="shipped").period_us == 55_000
    assert "data sheet" in row(**asked, profile="none").source
    assert "data sheet" in row(**asked, resolution="128x64").source


def test_no_candidate_is_much_better() -> None:
    """Whatever is not laid out would not have been the quickest by more than a twentieth."""
    asked: list[tuple[int, dict[str, str]]] = [
        (4, {"pattern": "cascade:live-joint"}),
        (3, {}),
        (3, {"pattern": "cascade"}),
    ]
    for count, axes in asked:
        data = {"model": "krea-realtime-14b", "device": "l40s", "count": count} | axes
        grid = Grid.from_data(data, "grid")
        basis = Basis(grid.point(0).basis, None)
        patterns = asked_patterns(basis, grid.point(0))
        tried = [each for n in range(1, count + 1) for each in candidates(basis, grid.point(0), patterns, n)]
        laid = [basis.laid(each.pattern, each.placement, each.ranks) for each in tried]
        best = min(each.clip.period_us for each in laid if not isinstance(each, str))
        (found,) = whatif(grid, workers=1).rows
        assert found.figure("period_us") <= best * 1.05


def test_limits_are_kept_or_told() -> None:
    slow, fast = rows(model="krea-realtime-14b", device="h100", count=[1, 5], limits={"fps": 16}, objective="money")
    assert slow.verdict.startswith("misses fps 6.6")
    assert slow.is_possible
    assert not slow.is_ok
    assert fast.is_ok
    assert fast.figure("steady_fps") >= 16


def test_a_noisy_pattern_is_told() -> None:
    assert "not known to tolerate cascade:1" in row(model="wan-14b", pattern="cascade:1", count=2).verdict
    assert row(model="wan-14b", pattern="sequential").verdict == "ok"


def test_objectives_choose() -> None:
    asked = {"model": "krea-realtime-14b", "device": "h100", "count": 5}
    found = {name: row(**asked, objective=name) for name in ("period", "first-frame", "control", "devices", "money")}
    assert found["devices"].devices == 1
    assert min(found.values(), key=lambda each: each.figure("period_us")) == found["period"]
    assert min(each.figure("first_frame_us") for each in found.values()) == found["first-frame"].first_frame_us
    assert min(each.figure("money_per_minute") for each in found.values()) == found["money"].money_per_minute
    assert min(each.figure("control_us") for each in found.values()) == found["control"].control_us


def test_exact_is_the_plan() -> None:
    found = row(model="toy", device="cpu-core", count=2, blocks=5, objective="makespan", exact=True)
    problem = Problem(model=load_spec("toy"), cluster=Cluster.of("cpu-core", 2), workload=Workload(blocks=5))
    made = plan(problem)
    assert (found.method, found.pattern, found.placement) == ("plan", str(made.pattern), made.placement.split("@")[0])
    assert found.fps == pytest.approx((9 + 4 * 12) * 1e6 / made.makespan_us)
    assert found.first_frame_us == made.finished_us[0]
    assert found.figure("fps_low") < found.figure("fps") < found.figure("fps_high")


def test_exact_says_why_not() -> None:
    found = row(model="wan-14b", device="4090", exact=True, pattern="sequential")
    assert found.verdict.startswith("0 sessions: ")
    assert "24.0 GB of 4090" in found.verdict


def test_exact_keeps_the_figures_of_what_misses_a_limit() -> None:
    asked = {"model": "toy", "device": "cpu-core", "count": 1, "blocks": 5}
    kept, missing = (row(**asked, exact=True, limits={"fps": fps}) for fps in (1, 10**6))
    assert kept.verdict == "ok"
    assert missing.is_possible
    assert not missing.is_ok
    assert missing.verdict.startswith("misses fps ")
    assert missing.steady_fps == kept.steady_fps


def test_control_is_of_the_clip() -> None:
    """In a clip of two blocks no change can take longer to be seen than the clip does."""
    asked = {"model": "self-forcing-1.3b", "device": "h200", "count": 4, "pattern": "cascade:1"}
    short, long = (row(**asked, placement="step+decoder", blocks=blocks) for blocks in (2, 60))
    frames = 9 + 12
    assert short.figure("control_us") <= frames * 1e6 / short.figure("fps")
    assert long.figure("control_us") > short.figure("control_us")


def test_sessions_by_memory_and_rate() -> None:
    """218 fps on each of three devices: at 100 fps each holds two streams."""
    found = row(**measured(), count=3, placement="free@1", limits={"fps": 100})
    assert found.sessions_as_placed == 6
    assert row(**measured(), count=1, limits={"fps": 300}).sessions_as_placed == 0


def test_a_device_given_in_full_brings_no_link_of_another_kind() -> None:
    """One of a kind that the catalog knows has that kind's usual link, another has the one that is named."""
    known = Cluster.of("a100").devices[0].model_dump() | {"memory_bytes": 60 * 10**9}
    assert (
        row(model="toy", device=[known], count=2).link == Cluster.of("a100").link.kind != Cluster.of("h100").link.kind
    )
    assert row(model="toy", device=[known | {"kind": "mine"}], count=2, link="pcie5").link == "pcie5"


def test_base_gives_what_axes_leave_out() -> None:
    base = Problem(
        model=load_spec("self-forcing-1.3b"),
        cluster=Cluster.of("h100", 4, per_node=2, network="ethernet-100g", price_per_hour=9.0),
        workload=Workload(blocks=9, decode=False),
        kv_transfer="fp8",
    )
    one, other = rows(base=base, count=[2, 4])
    assert (one.blocks, one.decode, one.kv_transfer, one.price_per_hour, one.network) == (9, False, "fp8", 9.0, None)
    assert (other.network, other.per_node) == ("ethernet-100g", 2)
    assert row(base=base, device="a100").price_per_hour == Cluster.of("a100").devices[0].price_per_hour
