"""The same plan under the real torchrun: rank 0 returns the clip, bit for bit the reference's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from executor.errors import WorldError
from executor.launch import execute
from planner.cluster import Cluster
from planner.patterns import Pattern
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.clips import costed, plan_of
from tests.tiny import TINY_SPEC, tiny_model

pytestmark = pytest.mark.dist

SCRIPT = """
import sys
import torch
torch.set_num_threads(1)
from executor.launch import execute
from models.generate import generate
from planner.cluster import Cluster
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.search import plan
from planner.workload import Workload
from tests.tiny import TINY_SPEC, tiny_model

devices = int(sys.argv[1])
model = tiny_model()
problem = Problem(
    model=TINY_SPEC, cluster=Cluster.of("cpu-core", devices), workload=Workload(blocks=4, decode=False)
)
chosen = plan(problem, pattern=Pattern(name="cascade", offset=2), placement=Placement())
clip = execute(chosen, problem, model, prompts="anything", seed=2)
if clip is not None:
    text = model.wan.encode_text(model.embed_prompt("anything"))
    expected = generate(model.wan, text, blocks=4, seed=2, offset=2)
    assert all(torch.equal(a, b) for a, b in zip(clip.latents, expected, strict=True))
    print("rank 0 equals the reference on", len(chosen.ranks), "ranks")
"""


def torchrun(tmp_path: Path, processes: int, devices: int) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    root = Path(__file__).parents[2]
    environment = {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [*words, str(script), str(devices)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_torchrun_equals_the_reference(tmp_path: Path) -> None:
    done = torchrun(tmp_path, processes=2, devices=2)
    assert done.returncode == 0, done.stderr
    assert "rank 0 equals the reference on 2 ranks" in done.stdout


def test_a_world_of_another_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(model=TINY_SPEC, cluster=Cluster.of("cpu-core", 2), workload=Workload(blocks=2, decode=False))
    chosen = plan_of(costed(problem, Pattern.sequential(TINY_SPEC), "step"))
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(WorldError, match="the plan has 2 ranks, torchrun started 1"):
        execute(chosen, problem, tiny_model(), prompts="anything")
