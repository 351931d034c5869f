"""The GPU benchmark runs through: on the CPU with a tiny model, as it would on a GPU with large ones."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from rich.console import Console

from planner.cluster import Cluster
from planner.problem import Problem
from planner.profile import Profile
from planner.search import plan
from planner.shipped import with_shipped
from planner.workload import Workload
from tests.benchmarks.gpu import NO_DEVICE, kind_of, main, sections
from tests.benchmarks.gpu_model import Setting
from tests.benchmarks.record import Run, markdown
from tests.tiny import TINY_SPEC

CPU = Setting(torch.device("cpu"), "cpu-core", torch.float32, compile_options={"backend": "eager"}, repeats=1)


def test_all_of_it_runs_and_leaves_a_profile_to_plan_by(tmp_path: Path) -> None:
    found = sections([TINY_SPEC], CPU, tmp_path, Console(quiet=True), matmul=64)
    text = markdown(found, Run("GPU benchmark", "python -m x", 1.0, 0.0, ("torch",), machine="a GPU"))
    assert "failed" not in text, text
    assert "not run:" not in text, text
    for row in ("denoise 2", "clean 0", "batch 4", "tick 4", "recache", "decode_first", "encode", "attention native"):
        assert f"| {row} |" in text
    (compiled,) = [line for line in text.splitlines() if line.startswith("| torch.compile |")]
    assert float(compiled.split("|")[2]) > 0
    for pattern in ("sequential on free", "cascade:1:live-joint on batched"):
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {pattern} |")]
        assert "%" in row, row
    assert "sequential against one joint batch" in text
    profile = Profile.from_json((tmp_path / "tiny-cpu-core.json").read_text())
    assert not profile.missing
    bare = Problem(model=TINY_SPEC, cluster=Cluster.of("cpu-core", 2), workload=Workload(blocks=4))
    problem = with_shipped(bare, tmp_path)
    assert problem.profile is not None
    assert plan(problem).makespan_us > 0


def test_without_time_it_says_what_it_left_out(tmp_path: Path) -> None:
    late = CPU._replace(deadline=time.monotonic() + 1.5)
    (_, section) = sections([TINY_SPEC], late, tmp_path, Console(quiet=True), matmul=64)
    text = markdown([section], Run("x", "x", 1.0, 0.0, ()))
    assert "skipped: no time left" in text


def test_a_model_that_fails_does_not_hide_the_others(tmp_path: Path) -> None:
    broken = TINY_SPEC.model_copy(update={"name": "broken", "vae": None})
    found = sections([broken, TINY_SPEC], CPU._replace(deadline=time.monotonic() + 1.5), None, Console(quiet=True), 64)
    assert found[1].lines[0].met is False
    assert found[2].title == "tiny"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA GeForce RTX 4090", "4090"),
        ("NVIDIA B200", "b200"),
        ("Tesla T4", None),
    ],
)
def test_a_device_is_known_by_its_name(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


def test_without_a_device_it_says_so_and_ends_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([]) == 0
    assert " ".join(capsys.readouterr().out.split()) == NO_DEVICE
