"""What actions read and leave, by hand: two steps and a clean pass; each block reads the first and the one before."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import planner.checking
from planner.action import Action
from planner.checking.clip import Clip
from tests.planner.check_plans import made


def clip_of(kind: str) -> Clip:
    problem, plan = made(kind)
    return Clip(plan, problem)


@pytest.mark.parametrize(
    ("kind", "action", "reads", "leaves"),
    [
        ("sequential", "denoise b4.s1", "latents b4.s0, kv b0.c, kv b3.c", "kv b4.s1, latents b4.s1"),
        ("sequential", "commit b1", "latents b1.s1, kv b0.c", "kv b1.c"),
        ("sequential", "decode b3", "latents b3.s1", ""),
        ("by step", "denoise b4.s1", "latents b4.s0, kv b0.s1, kv b3.s1", "kv b4.s1, latents b4.s1"),
        ("by block", "denoise b4.s0", "kv b0.c, kv b3.s1", "kv b4.s0, latents b4.s0"),
        ("parts", "decode b3.d0", "latents b3.s1", "features b3.d0"),
        ("parts", "decode b3.d1", "features b3.d0", ""),
        ("live by block", "denoise b4.s0", "kv b0.c, kv b3.s1*", "kv b4.s0, latents b4.s0"),
        ("live by block", "denoise b2.s0", "kv b0.c*, kv b1.s1*", "kv b2.s0, latents b2.s0"),
        ("live by step", "denoise b4.s0", "kv b0.c, kv b3.c*", "kv b4.s0, latents b4.s0"),
        ("live by step", "denoise b4.s1", "latents b4.s0, kv b0.c, kv b3.c", "kv b4.s1, latents b4.s1"),
        ("joint by block", "tick 4 b4.s0", "kv b0.c", "kv b2.c, latents b4.s0"),
        ("joint by block", "tick 4 b2.c b3.s1", "latents b2.s1, kv b0.c, kv b1.c, latents b3.s0, kv b0.c",
         "kv b2.c, latents b3.s1"),
        ("joint by block", "tick 4", "", "kv b2.c"),
        ("joint by block", "tick 5 b4.s1", "latents b4.s0, kv b0.c", "kv b3.c, latents b4.s1"),
        ("no clean pass in ticks", "tick 4 b3.s1", "latents b3.s0, kv b0.s1, kv b2.s1", "kv b3.s1, latents b3.s1"),
        ("batches", "batch 4.0 b2.c b4.s0", "latents b2.s1, kv b0.c, kv b1.c, kv b0.s0, kv b3.s0",
         "kv b2.c, kv b4.s0, latents b4.s0"),
        ("slices", "slice 4.0 b1.s1 b4.s0", "latents b1.s0, kv b0.s1, kv b0.s0, kv b3.s0",
         "kv b1.s1, kv b4.s0, hidden w4.l0"),
        ("slices", "slice 4.1 b1.s1 b4.s0", "hidden w4.l0, kv b0.s1, kv b0.s0, kv b3.s0",
         "kv b1.s1, kv b4.s0, hidden w4.l1"),
        ("slices", "slice 4.2 b1.s1 b4.s0", "hidden w4.l1, kv b0.s1, kv b0.s0, kv b3.s0",
         "kv b1.s1, kv b4.s0, latents b1.s1, latents b4.s0"),
        ("recompute", "denoise b0.s1", "latents b0.s0", "latents b0.s1"),
        ("recompute", "denoise b4.s1", "latents b4.s0, context b4", "latents b4.s1"),
        ("recompute", "recache b4", "encoded b0, encoded b3", "context b4"),
        ("recompute", "encode b3", "pixels b3", "encoded b3"),
        ("recompute", "decode b3", "latents b3.s1", "pixels b3"),
        ("recompute", "decode b4", "latents b4.s1", ""),
        ("recache", "recache b2", "latents b0.s1, latents b1.s1, text p1", "context b2"),
        ("recache", "denoise b2.s0", "context b2, text p1", "kv b2.s0, latents b2.s0"),
        ("recache", "denoise b3.s0", "context b2, kv b2.c, text p1", "kv b3.s0, latents b3.s0"),
        ("recache", "recache b4", "latents b0.s1, latents b3.s1, text p2", "context b4"),
        ("recache", "denoise b4.s1", "latents b4.s0, context b4, text p2", "kv b4.s1, latents b4.s1"),
        ("another first block", "denoise b1.s0", "kv b0.s1", "kv b1.s0, latents b1.s0"),
        ("another first block", "commit b1", "latents b1.s1, kv b0.c", "kv b1.c"),
        ("another first block", "decode b0", "latents b0.s2", ""),
        ("prompts", "denoise b1.s0", "kv b0.s0, text p0", "kv b1.s0, latents b1.s0"),
        ("prompts", "denoise b2.s0", "kv b0.s0, kv b1.s0, text p1", "kv b2.s0, latents b2.s0"),
        ("prompts", "text p1", "", "text p1"),
    ],
)  # fmt: skip
def test_reads_and_leaves(kind: str, action: str, reads: str, leaves: str) -> None:
    """A star marks what may come layer by layer."""
    clip = clip_of(kind)
    asked = Action.parse(action)
    assert clip.has(asked)
    assert ", ".join(f"{read.payload}{'*' * read.beside}" for read in clip.reads(asked)) == reads
    assert ", ".join(str(payload) for payload in clip.leaves(asked)) == leaves


def test_a_first_block_of_more_steps_begins_earlier() -> None:
    clip = clip_of("another first block in ticks")
    assert [clip.tick(item) for item in ((0, 0), (0, None), (1, 0), (2, None))] == [0, 3, 2, 5]


def test_a_prompt_is_there_when_it_is() -> None:
    clip = clip_of("recache")
    actions = ("denoise b1.s0", "denoise b2.s0", "recache b2", "recache b4", "text p2")
    assert [clip.release_us(Action.parse(action)) for action in actions] == [0, 900, 900, 2600, 2600]


def test_nothing_is_asked_of_what_makes_plans() -> None:
    """`Flow` is constructed for the cost model, and then left alone."""
    folder = Path(planner.checking.__file__).parent
    trees = {path.name: ast.parse(path.read_text()) for path in folder.glob("*.py")}
    uses = [
        (name, type(parent).__name__)
        for name, tree in trees.items()
        for parent in ast.walk(tree)
        for child in ast.iter_child_nodes(parent)
        if isinstance(child, ast.Name) and child.id == "Flow"
    ]
    assert uses == [("clip.py", "Call")]
    attributes = {n.attr for tree in trees.values() for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert not attributes & {"flow", "needs", "makes"}


def test_what_makes_plans_is_not_even_loaded() -> None:
    """Besides the checker itself only what is given, and the cost model with what that needs."""
    given = "action cluster errors patterns placement plan problem profile rows value workload"
    cost_model = "cost decoder flow instance passes ring"
    allowed = {f"planner.{name}" for name in (*given.split(), *cost_model.split(), "check")} | {"planner"}
    told = "import sys, planner.check; print(*(name for name in sys.modules if name.split('.')[0] == 'planner'))"
    run = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True)
    loaded = {name for name in run.stdout.split() if not name.startswith("planner.checking")}
    assert loaded <= allowed
