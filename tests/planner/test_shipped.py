"""Profiles that ship: found by model and device, told of, and never in the way of one that was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.catalog import load_spec
from planner.cluster import LINKS, Cluster
from planner.errors import InputError
from planner.files import write_document
from planner.problem import Problem
from planner.profile import Profile, Timing, Transfer
from planner.shipped import FOLDER, profile_name, shipped_profile, source_of_times, with_shipped
from planner.workload import Workload

SHIPPED = Profile(
    model="toy",
    device="h200",
    software="torch 9",
    device_name="NVIDIA H200",
    taken="2026-11-23",
    denoise=(Timing.of([700]),),
    clean=(Timing.of([600]),),
    decode_first=Timing.of([500]),
    decode=Timing.of([500]),
    link_latency_us=1,
    link_bandwidth_gbps=1,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_document(SHIPPED, str(tmp_path / profile_name("toy", "h200")))
    return tmp_path


def problem(device: str = "h200", **link: str) -> Problem:
    return Problem(model=load_spec("toy"), cluster=Cluster.of(device, 2, **link), workload=Workload(blocks=3))  # type: ignore[arg-type]


def test_what_ships_fits_its_name() -> None:
    for path in FOLDER.glob("*.json"):
        found = Profile.from_json(path.read_text(), str(path))
        assert path.name == profile_name(found.model, found.device)
        assert found.device_name
        assert found.taken
        load_spec(found.model)
        Cluster.of(found.device)


def test_a_profile_is_found_by_model_and_device(folder: Path) -> None:
    given = problem()
    found = with_shipped(given, folder).profile
    assert found is not None
    assert found.denoise == SHIPPED.denoise
    # One device was measured, so the links are those of the cluster.
    link = given.cluster.link
    assert (found.link_latency_us, found.link_bandwidth_gbps) == (link.latency_us, link.bandwidth_gbps)
    assert found.link_sharing == link.sharing == "port"
    other = with_shipped(problem(link="pcie4"), folder).profile
    assert other is not None
    assert other.link_bandwidth_gbps == LINKS["pcie4"].bandwidth_gbps


def test_links_that_were_measured_stay(tmp_path: Path) -> None:
    rows = (Transfer(source=0, target=1, size_bytes=9, timing=Timing.of([3])),)
    write_document(SHIPPED.model_copy(update={"transfers": rows}), str(tmp_path / "toy-h200.json"))
    found = shipped_profile("toy", Cluster.of("h200"), tmp_path)
    assert found is not None
    assert (found.link_latency_us, found.link_bandwidth_gbps) == (1, 1)


def test_where_none_ships_or_one_is_given_the_problem_stays(folder: Path) -> None:
    for given in (problem("h100"), problem().model_copy(update={"profile": SHIPPED})):
        assert with_shipped(given, folder) is given
    two = Cluster.of("h200", 2)
    mixed = two.model_copy(update={"devices": (two.devices[0], Cluster.of("h100").devices[0])})
    assert shipped_profile("toy", mixed, folder) is None
    assert shipped_profile("wan-14b", two, folder) is None


def test_a_file_that_holds_another_profile_is_refused(folder: Path) -> None:
    (folder / "toy-h200.json").rename(folder / "toy-h100.json")
    with pytest.raises(InputError, match="measured for 'toy' on 'h200'"):
        with_shipped(problem("h100"), folder)


def test_it_is_told_where_times_come_from(folder: Path) -> None:
    assert source_of_times(problem()).startswith("times: reckoned from the data sheet of h200")
    told = source_of_times(with_shipped(problem(), folder))
    assert told.startswith("times: profile of toy on h200 (NVIDIA H200), torch 9, 2026-11-23; links as")
    rows = (Transfer(source=0, target=1, size_bytes=9, timing=Timing.of([3])),)
    measured = SHIPPED.model_copy(update={"transfers": rows, "missing": ("batch 5: out of memory",)})
    told = source_of_times(problem().model_copy(update={"profile": measured}))
    assert told.endswith("2026-11-23; 1 point(s) could not be measured")
