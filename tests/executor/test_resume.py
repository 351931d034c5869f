"""An interrupted run goes on, on the same ranks or on others, and comes out bit for bit as if nothing had happened."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from executor.cli import cli
from executor.errors import RankError, StateError
from executor.keeping.run_folder import RUN, Keep, read_record
from executor.keeping.saved import Finished, Piece, parse
from executor.keeping.store import Store
from executor.output.frame_sink import FrameSink
from executor.world.pulse import Pulse
from models.generate import generate
from models.vae import decode_stream
from planner.action import Action, Kind
from planner.patterns import Pattern, all_patterns
from planner.workload import PromptSwitch
from tests.executor.runs import (
    BLOCKS,
    ONE,
    PROMPT,
    Case,
    case,
    computes,
    fail,
    interrupted,
    model,
    nearly_done,
    placements,
    run,
    same,
    state_of,
    struck,
    uninterrupted,
)
from tests.planner.clips import cascade
from tests.tiny import TINY_SPEC


@pytest.fixture
def kept(tmp_path: Path) -> Keep:
    return nearly_done(tmp_path / "run")


# -- any interruption --------------------------------------------------------------------------------


@st.composite
def cases(draw: st.DrawFn, pattern: Pattern, decode: bool) -> Case:
    ranks = draw(st.integers(1, 3))
    return case(pattern, draw(st.sampled_from(placements(pattern, ranks, decode=decode))), ranks, decode=decode)


@settings(max_examples=15)
@given(data=st.data(), pattern=st.sampled_from(all_patterns(TINY_SPEC)), every=st.integers(1, 3))
def test_any_interruptions_leave_no_trace_in_the_clip(data: st.DataObject, pattern: Pattern, every: int) -> None:
    decode = pattern.name == "sequential-recompute" or data.draw(st.booleans())
    told: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        keep = Keep(Path(folder) / "run", every, "if-there")
        for _ in range(data.draw(st.integers(1, 3))):
            one = data.draw(cases(pattern, decode))
            with struck(data.draw(st.integers(1, computes(one))), fail):
                try:
                    run(one, keep)
                except RankError as error:
                    told.append(str(error))
        clip = run(data.draw(cases(pattern, decode)), keep)
        assert same(clip, uninterrupted(pattern, decode))
        assert all("out of luck" in text for text in told)
        assert clip.start is not None
        assert clip.start.faults == ()
        assert not state_of(keep.folder)
        assert {parse(f"blocks/{entry.name}") for entry in (keep.folder / "blocks").iterdir()} == {
            Finished(block, decode) for block in range(BLOCKS)
        }


def test_the_whole_equals_generate_after_an_interruption(tmp_path: Path) -> None:
    """Not only what an uninterrupted run gives: what the single-process reference does."""
    keep = Keep(tmp_path / "run", 2)
    interrupted(case(cascade(2), "step", 2), keep, 17)
    clip = run(case(cascade(2), "block", 3), keep._replace(resume="yes"))
    assert clip.start is not None
    assert clip.start.cut.block > 0
    text = model().wan.encode_text(model().embed_prompt(PROMPT))
    latents = generate(model().wan, [text], blocks=BLOCKS, seed=0, offset=2)
    vae = model().vae
    assert vae is not None
    assert clip.frames is not None
    assert torch.equal(clip.frames, decode_stream(vae, latents))


def test_going_on_repeats_only_what_lies_after_the_cut(tmp_path: Path) -> None:
    keep, one = Keep(tmp_path / "run", 1), case(Pattern.sequential(TINY_SPEC), "free", 1)
    passes = TINY_SPEC.passes + 1  # and a decode
    program = [row.action for row in one[1].ranks[0] if row.action.is_compute]
    at = program.index(Action(Kind.DENOISE, 3, 1))
    interrupted(one, keep, at + 1)
    done = {action.block for action in program[:at] if action.kind is Kind.DECODE}
    clip = run(one, keep._replace(resume="yes"))
    left = [row.action for row in clip.trace.ranks[0] if row.action.is_compute]
    assert clip.start is not None
    assert clip.start.cut.block == 1 + max(block for block in done if done.issuperset(range(block + 1)))
    assert len(left) == computes(one) - clip.start.cut.block * passes
    again = run(one, keep._replace(resume="yes"))
    assert again.start is not None
    assert again.start.cut.block == BLOCKS
    assert again.trace.ranks == ((),)
    assert same(again, clip)


def test_prompts_switch_where_they_did(tmp_path: Path) -> None:
    """Another plan's ticks are not those of the run: it goes on with its own."""
    switches, prompts = [PromptSwitch(at_us=1)], ["one", "two"]
    first, other = (case(cascade(1), "step", 2, ticks=(ticks,), switches=switches) for ticks in (4, 6))
    expected = run(first, prompts=prompts)
    assert not same(run(other, prompts=prompts), expected)
    keep = Keep(tmp_path / "run", 1)
    with struck(16, fail), pytest.raises(RankError):
        run(first, keep, prompts=prompts)
    assert same(run(other, keep._replace(resume="yes"), prompts=prompts), expected)


def test_a_recached_context_is_kept(tmp_path: Path) -> None:
    switches, sequential = [PromptSwitch(at_us=1, recache=True)], Pattern.sequential(TINY_SPEC)
    ticks = (2 * TINY_SPEC.passes,)
    one, two = (case(sequential, "free", ranks, ticks=ticks, switches=switches) for ranks in (1, 2))
    expected = run(one, prompts=["one", "two"])
    program = [row.action for row in one[1].ranks[0] if row.action.is_compute]
    keep = Keep(tmp_path / "run", 1)
    with struck(program.index(Action(Kind.DENOISE, 4, 0)) + 1, fail), pytest.raises(RankError):
        run(one, keep, prompts=["one", "two"])
    assert any(isinstance(saved, Piece) and saved.payload.carries == "context" for saved in state_of(keep.folder))
    clip = run(two, keep._replace(resume="yes"), prompts=["one", "two"])
    assert same(clip, expected)
    moved = case(sequential, "free", 1, ticks=(3 * TINY_SPEC.passes,), switches=switches)
    with pytest.raises(StateError, match=r"switch_ticks was \[8\], is \[12\]"):
        run(moved, keep._replace(resume="yes"), prompts=["one", "two"])


# -- frames as they finish ---------------------------------------------------------------------------


def test_the_sink_gets_every_block_in_order_after_going_on(kept: Keep) -> None:
    seen: list[tuple[int, Tensor]] = []

    @contextmanager
    def sink() -> Iterator[FrameSink]:
        yield lambda block, frames: seen.append((block, frames.clone()))

    clip = run(case(cascade(2), "step+decoder", 3), kept._replace(sink=sink, whole=False))
    assert (clip.frames, clip.latents) == (None, [])
    assert [block for block, _ in seen] == list(range(BLOCKS))
    expected = uninterrupted(cascade(2), True).frames
    assert expected is not None
    assert torch.equal(torch.cat([frames for _, frames in seen]), expected)
    seen.clear()
    run(ONE, kept._replace(sink=sink))
    assert [block for block, _ in seen] == list(range(BLOCKS))


# -- processes ---------------------------------------------------------------------------------------


FAULTY = case(cascade(2), "step+decoder", 3)
# Of each kind on each rank the last, and a way to fail and a number of ranks to go on with, by turns.
PLACES = [
    (rank, max(actions, key=lambda action: action.block))
    for rank, rows in enumerate(FAULTY[1].ranks)
    for kind in Kind
    if (actions := [row.action for row in rows if row.action.kind is kind])
]


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def named(value: object) -> str:
    """Of a function its name, and not where it lies: every process that collects the tests has the same."""
    return getattr(value, "__name__", None) or str(value)


def strikes(patch: pytest.MonkeyPatch, victim: int, where: Action, strike: Callable[[], None]) -> None:
    """Has the victim do itself harm when it tells that the action begins."""
    told = Pulse.told

    def tells(pulse: Pulse, action: object, computes: bool) -> None:
        told(pulse, action, computes)
        if pulse.rank == victim and action == where:
            strike()

    patch.setattr(Pulse, "told", tells)


@pytest.mark.dist
@pytest.mark.parametrize(
    ("victim", "where", "strike", "ranks"),
    [
        *((rank, where, (kill, fail)[at % 2], 1 + at % 3) for at, (rank, where) in enumerate(PLACES)),
        (*PLACES[0], stop, 2),
    ],
    ids=named,
)
def test_after_any_fault_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: int, where: Action, strike: Callable[[], None], ranks: int
) -> None:
    monkeypatch.setenv("BLOCKCASCADE_STALL_S", "1")
    monkeypatch.setenv("BLOCKCASCADE_BEAT_S", "0.1")
    keep = Keep(tmp_path / "run", 1)
    with monkeypatch.context() as patch:
        strikes(patch, victim, where, strike)
        with pytest.raises(RankError, match=f"^rank {victim} at {re.escape(str(where))}: "):
            run(FAULTY, keep, "processes")
    clip = run(case(cascade(2), "block" if ranks > 1 else "free", ranks), keep._replace(resume="yes"), "processes")
    assert same(clip, uninterrupted(cascade(2), True))


SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from executor.rank.bind import Rank
from executor.launch import execute
from executor.keeping.run_folder import Keep
from tests.executor.runs import PROMPT, case, model
from tests.planner.clips import cascade
compute = Rank.compute
def computes(self, action, *rest):
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and os.environ["RANK"] == "1" and str(action) == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
    compute(self, action, *rest)
Rank.compute = computes
problem, plan = case(cascade(2), "step", 2)
clip = execute(plan, problem, model(), prompts=PROMPT, keep=Keep(Path(sys.argv[1]), 1))
if clip is not None:
    torch.save(clip.frames, sys.argv[3])
    print("went on from block", clip.start.cut.block)
"""


@pytest.mark.dist
def test_torchrun_starts_anew_and_goes_on_by_itself(tmp_path: Path) -> None:
    script, clip = tmp_path / "script.py", tmp_path / "clip.pt"
    script.write_text(SCRIPT)
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1"]
    one = case(cascade(2), "step", 2)
    where = [row.action for row in one[1].ranks[1] if row.action.kind is Kind.DENOISE][-1]
    root = Path(__file__).parents[2]
    environment = {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [*words, str(script), str(tmp_path / "run"), str(where), str(clip)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 0
    expected = uninterrupted(cascade(2), True).frames
    assert expected is not None
    assert torch.equal(torch.load(clip, weights_only=True), expected)


# -- the command -------------------------------------------------------------------------------------

SCENE = "a red circle at the top left moving down right"


def call(*words: str) -> str:
    result = CliRunner().invoke(cli, list(words))
    assert result.exit_code == 0, result.stderr
    return result.stderr


@pytest.mark.dist
def test_the_command_goes_on_with_fewer_devices(tmp_path: Path) -> None:
    problem_file, plan_file = str(tmp_path / "problem.json"), str(tmp_path / "plan.json")
    flags = ["--model", "toy", "--device", "cpu-core", "--count", "2", "--blocks", "4", "--pattern", "cascade:2"]
    call("plan", *flags, "-o", plan_file, "--save-problem", problem_file)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    call("run", problem_file, plan_file, "--prompt", SCENE, "--seed", "3", "-o", str(whole), "--save-every", "1")
    shutil.copytree(whole, cut)
    for name in ("blocks/b3.frames.safetensors", "video.mp4"):
        (cut / name).unlink()
    record, raw = cut / RUN, tmp_path / "video.rgb"
    record.write_text(record.read_text().replace(f'"torch":"{torch.__version__}"', '"torch":"1.0"'))
    told = call("run", "--resume", "-o", str(cut), "--count", "1", "--stream", str(raw))
    assert "video.mp4: 45 frames" in told
    assert f"warning: the run began under torch 1.0 and goes on under torch {torch.__version__}" in told
    frames = [Store(folder).read(Finished(block, True), "tensor") for folder in (whole, cut) for block in range(4)]
    assert torch.equal(torch.cat(frames[:4]), torch.cat(frames[4:]))
    assert raw.read_bytes() == torch.cat(frames[:4]).numpy().tobytes()
    assert (whole / "video.mp4").read_bytes() == (cut / "video.mp4").read_bytes()
    assert read_record(cut).seed == 3
    for words, text in (
        (["run", problem_file, plan_file, "--prompt", SCENE, "-o", str(whole)], "holds a run already"),
        (["run", "--resume", "-o", str(tmp_path / "none")], "holds no run"),
        (["run", "-o", str(whole)], "name PROBLEM and PLAN"),
        (["run", problem_file, plan_file, "-o", str(tmp_path / "none")], "--prompt"),
        (["run", problem_file, plan_file, "--resume", "--count", "1", "-o", str(whole)], "--count"),
    ):
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 2, words
        assert text in result.stderr
