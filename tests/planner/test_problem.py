"""Problems: JSON forms, and a digest that changes with whatever a plan depends on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from models.catalog import CATALOG, load_spec
from planner.cluster import Cluster
from planner.errors import InputError
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.clips import clip, model
from tests.strategies import problems

TOY = Problem(model=load_spec("toy"), cluster=Cluster.of("h100", 2), workload=Workload(blocks=7))


def spoilt(path: str, value: Any) -> Any:
    """The toy problem's data with one place changed."""
    data = json.loads(TOY.to_json())
    *outer, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    place = data
    for key in outer:
        place = place[key]
    place[last] = value
    return data


@settings(max_examples=30)
@given(problems())
def test_json_round_trips(problem: Problem) -> None:
    back = Problem.from_json(problem.to_json())
    assert back == problem
    assert back.digest == problem.digest


@pytest.mark.parametrize("name", CATALOG)
def test_every_named_model_round_trips(name: str) -> None:
    problem = TOY.model_copy(update={"model": load_spec(name)})
    assert Problem.from_json(problem.to_json()) == problem


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.window", 15),
        ("model.timesteps.3", 251),
        ("cluster.devices.1.peak_tflops", 900),
        ("cluster.devices.1.price_per_hour", 3),
        ("cluster.link.latency_us", 11),
        ("workload.blocks", 8),
        ("workload.decode", False),
        ("workload.encode_text", True),
        ("workload.switches", [{"at_us": 5}]),
        ("workload.switches", [{"at_us": 5, "recache": True}]),
        ("cluster.link.sharing", "bus"),
        ("cluster.link.collective_us", 21),
        ("cluster.nodes", [2]),
    ],
)
def test_the_digest_depends_on_everything(path: str, value: Any) -> None:
    assert Problem.from_data(spoilt(path, value), "here").digest != TOY.digest


def test_whole_numbers_and_floats_of_the_same_value_are_the_same_problem() -> None:
    assert Problem.from_data(spoilt("cluster.link.bandwidth_gbps", 450), "here").digest == TOY.digest
    assert Problem.from_data(spoilt("model.timesteps.0", 1000), "here").digest == TOY.digest


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("schema_name", "blockcascade.problem/2", "schema_name"),
        ("model", "toy", "model"),
        ("model.heads", 0, "model.heads"),
        ("model.speed", 1, "model.speed"),
        ("model.timesteps", [], "model.timesteps"),
        ("cluster.devices", [], "cluster.devices"),
        ("cluster.devices.0.peak_tflops", 0, "cluster.devices.0.peak_tflops"),
        ("cluster.devices.0.memory_bytes", 0.5, "cluster.devices.0.memory_bytes"),
        ("cluster.devices.1.memory_gbps", float("nan"), "cluster.devices.1.memory_gbps"),
        ("cluster.devices.1.price_per_hour", -0.01, "cluster.devices.1.price_per_hour"),
        ("cluster.link.latency_us", -1, "cluster.link.latency_us"),
        ("cluster.link.bandwidth_gbps", float("inf"), "cluster.link.bandwidth_gbps"),
        ("workload.blocks", 0, "workload.blocks"),
        ("workload.blocks", 10_000_001, "workload.blocks"),
        ("workload.switches", [{"at_us": -1}], "workload.switches.0.at_us"),
        ("workload.switches", [{"at_us": 0.5}], "workload.switches.0.at_us"),
        ("workload.switches", [{"at_us": 7}, {"at_us": 7}], "workload"),
        ("workload.switches", [{"at_us": 7}, {"at_us": 3}], "workload"),
        ("workload.switches", [{"at_us": 7, "prompt": "x"}], "workload.switches.0.prompt"),
        ("cluster.link.sharing", "star", "cluster.link.sharing"),
        ("cluster.nodes", [3], "cluster"),
        ("cluster.nodes", [1, 1], "cluster"),
        ("workload", None, "workload"),
        ("profile", {}, "profile.model"),
        ("extra", 1, "extra"),
    ],
)
def test_wrong_fields_are_named(path: str, value: Any, field: str) -> None:
    with pytest.raises(InputError, match=rf"^here: {field}: "):
        Problem.from_data(spoilt(path, value), "here")


def test_a_profile_of_another_model_is_refused() -> None:
    problem = clip(model(2), 2)
    data = json.loads(problem.to_json())
    data["profile"]["model"] = "other"
    with pytest.raises(InputError, match="profile: measured for 'other', the model is 'by-hand'"):
        Problem.from_data(data, "here")


def test_a_profile_without_a_clean_pass_is_refused_if_the_model_has_one() -> None:
    data = json.loads(clip(model(2, clean=True), 2).to_json())
    data["profile"]["clean"] = []
    with pytest.raises(InputError, match="profile: has no clean pass, the model has one"):
        Problem.from_data(data, "here")
    data["model"]["clean_pass"] = False
    assert Problem.from_data(data, "here").profile is not None


def test_an_infinite_shift_is_refused() -> None:
    with pytest.raises(InputError, match=r"^here: model\.shift: "):
        Problem.from_data(spoilt("model.shift", float("inf")), "here")
