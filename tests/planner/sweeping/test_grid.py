"""What a grid may say, and the points that it comes to."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.catalog import load_spec
from planner.cluster import Cluster
from planner.errors import InputError
from planner.files import read_document, write_document
from planner.problem import Problem
from planner.sweeping.axes import blocks_for, sized, stepped
from planner.sweeping.grid import AXES, Grid, settled, spec_at
from planner.workload import Workload

MINE = Cluster.of("a100").devices[0].model_dump() | {"kind": "mine"}


def grid(**axes: Any) -> Grid:
    return Grid.from_data(axes, "grid.yaml")


def test_points_in_order() -> None:
    found = grid(model="toy", device=["h100", "a100"], count="1-2", price=[1, 2])
    told = [(p.device, p.count, p.price) for p in map(found.point, range(found.size))]
    assert told == [(d, c, p) for d in ("h100", "a100") for c in (1, 2) for p in (1.0, 2.0)]
    assert found.together == 4


@pytest.mark.parametrize(
    ("written", "counts"),
    [("1..3", (1, 2, 3)), ("1-3", (1, 2, 3)), ("1,2,4", (1, 2, 4)), (4, (4,)), ([1, "4-5"], (1, 4, 5)), ("2", (2,))],
)
def test_numbers_as_written(written: Any, counts: tuple[int, ...]) -> None:
    assert grid(model="toy", count=written).count == counts


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "model: name at least one"),
        ({"model": []}, "model: empty"),
        ({"model": "toyy"}, "did you mean 'toy'"),
        ({"model": "toy", "device": "h1000"}, "unknown device 'h1000'"),
        ({"model": "toy", "link": "string"}, "link: 'string' is not known"),
        ({"model": "toy", "network": "pigeon"}, "network: 'pigeon' is not known"),
        ({"model": "toy", "device": [MINE]}, "link: name one, such as nvlink4"),
        ({"model": "toy", "count": "1..2000", "blocks": "1..2000"}, "4,000,000 points, at most 1,000,000"),
        ({"model": "toy", "count": "8..1"}, "count: '8..1' is no range"),
        ({"model": "toy", "count": 0}, "count.0"),
        ({"model": "toy", "count": [1, 1]}, "count: 1 is named twice"),
        ({"model": "toy", "price": -1}, "price.0"),
        ({"model": "toy", "decode": []}, "decode: empty"),
        ({"model": "toy", "resolution": "65x64"}, "the nearest is 64x64"),
        ({"model": "toy", "resolution": "big"}, "resolution: 'big' is no size"),
        ({"model": "toy", "pattern": "zigzag"}, "pattern: 'zigzag' is none of"),
        ({"model": "toy", "placement": "everywhere"}, "placement: 'everywhere' is not"),
        ({"model": "toy", "parallel": "ulysses:1"}, "parallel: 'ulysses:1' is not"),
        ({"model": "toy", "blocks": 7, "frames": 81}, "frames: says what blocks says"),
        ({"model": "toy", "colour": "red"}, "colour: unknown key"),
    ],
)
def test_what_cannot_be_asked(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match="grid") as error:
        Grid.from_data(given, "grid.yaml")
    assert told in str(error.value)


def test_a_million_points_are_no_error() -> None:
    assert grid(model="toy", count="1-1000", blocks="1-1000").size == 10**6


def test_a_base_of_several_kinds_names_its_device() -> None:
    mixed = Cluster(devices=(*Cluster.of("h100").devices, *Cluster.of("a100").devices), link=Cluster.of("h100").link)
    base = Problem(model=load_spec("toy"), cluster=mixed, workload=Workload(blocks=2))
    with pytest.raises(InputError, match="several kinds of device"):
        grid(base=base)
    assert grid(base=base, device="h100").size == 1


def test_a_file_and_back(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text("model: [toy, self-forcing-1.3b]\ndevice: [h100, h200]\ncount: 1..16\nlimits: {fps: 16}\n")
    found = read_document(Grid, str(path))
    assert found.size == 64
    assert found.limits.fps == 16
    write_document(found, str(tmp_path / "again.json"))
    assert read_document(Grid, str(tmp_path / "again.json")).digest == found.digest


def test_files_are_taken_in(tmp_path: Path) -> None:
    spec, latencies = tmp_path / "mine.yaml", tmp_path / "mine-ms.yaml"
    spec.write_text(yaml.safe_dump({"base": "toy", "name": "mine"}))
    latencies.write_text("pass_ms: 10\ndecode_ms: 5\n")
    found = settled(grid(model=[str(spec), "toy"], profile=[str(latencies), "none"]))
    assert found.model is not None
    assert [getattr(model, "name", model) for model in found.model] == ["mine", "toy"]
    spec.unlink()
    latencies.unlink()
    assert settled(found).digest == found.digest
    with pytest.raises(InputError, match="no such file"):
        settled(grid(model="toy", profile=str(latencies)))


def test_size_and_steps_change_the_model() -> None:
    point = grid(model="self-forcing-1.3b", resolution="416x240", steps=2).point(0)
    spec = spec_at(point, None)
    assert (spec.pixel_width, spec.pixel_height, spec.steps) == (416, 240, 2)
    assert spec.tokens_per_frame * 4 == load_spec("self-forcing-1.3b").tokens_per_frame
    assert spec.timesteps == (1000.0, 500.0)
    assert stepped(load_spec("toy"), 4) is not None
    assert sized("64x64", load_spec("toy")) == load_spec("toy")


@given(st.integers(1, 2000), st.sampled_from(["toy", "self-forcing-1.3b", "causal-forcing-framewise-1.3b"]))
def test_blocks_for_frames(frames: int, model: str) -> None:
    """As few blocks as give the frames: one fewer gives less."""
    spec = load_spec(model)
    blocks = blocks_for(frames, spec)

    def given_by(count: int) -> int:
        return sum(spec.pixel_frames(block) for block in range(count))

    assert given_by(blocks) >= frames
    assert blocks == 1 or given_by(blocks - 1) < frames


@given(st.data())
def test_every_combination_once(data: st.DataObject) -> None:
    axes: dict[str, list[Any]] = {
        "model": data.draw(st.lists(st.sampled_from(["toy", "wan-14b"]), min_size=1, unique=True)),
        "count": data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True)),
        "steps": data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True)),
        "decode": data.draw(st.lists(st.booleans(), min_size=1, unique=True)),
    }
    found = grid(**axes)
    points = [found.point(number) for number in range(found.size)]
    assert found.size == math.prod(map(len, axes.values()))
    assert len({tuple(getattr(point, axis) for axis in AXES) for point in points}) == found.size
    assert [point.number for point in points] == list(range(found.size))
    # Those that share work stand together.
    bases = [point.basis for point in points]
    assert sum(a != b for a, b in pairwise(bases)) == len(set(bases)) - 1
