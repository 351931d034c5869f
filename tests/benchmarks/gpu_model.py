"""One model's shape measured on one device: passes, what runs beside them, variants, and plans carried out."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from executor.launch import execute
from executor.measuring.machine import device_name
from executor.measuring.profile_passes import PassBench
from executor.measuring.profiling import Asked, measured, profile_of
from executor.measuring.rounds import Found, Point, in_rounds
from executor.measuring.timer import Timer, timer_of
from models.errors import BlockcascadeError, ModelError
from models.loaded import LoadedModel
from models.random_weights import random_model
from models.spec import ModelSpec
from planner.cluster import Cluster
from planner.files import write_document
from planner.metrics import Metrics, metrics
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.search import plan
from planner.shipped import profile_name
from planner.workload import Workload
from tests.benchmarks.record import Details, Line, Section

PROMPT = "a benchmark"
GOAL = 0.6  # of the matmul rate, of a pass at full window
REPEATS = 7
BACKENDS = ("native", "_native_flash", "_native_cudnn", "_native_efficient", "flash", "_flash_3", "sage", "xformers")
# Shares of the time that is left: for the profile, and what must be left for compiling.
FOR_PROFILE, COMPILE_S = 0.6, 60.0
MATMUL = 8192


class Setting(NamedTuple):
    """Where and how: the device and its kind in the catalog, the type, until when, and how to compile."""

    device: torch.device
    kind: str
    dtype: torch.dtype
    deadline: float = math.inf
    compile_options: Mapping[str, Any] = {}
    compile_s: float = COMPILE_S
    repeats: int = REPEATS

    @property
    def left_s(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def timer(self) -> Timer:
        return timer_of(self.device)


def matmul_tflops(setting: Setting, size: int = MATMUL) -> float:
    """The rate of a large square matrix product: the quickest of several."""
    left, right = (torch.randn(size, size, dtype=setting.dtype, device=setting.device) for _ in range(2))
    point = Point("matmul", lambda: lambda: torch.mm(left, right))
    found = in_rounds([point], setting.timer, repeats=setting.repeats)
    return 2 * size**3 / min(found.times["matmul"]) / 1e6


def model_section(spec: ModelSpec, setting: Setting, ceiling: float, profiles: Path | None) -> Section:
    """All that there is time for; the profile is written to its folder. `ceiling`: TFLOP/s of a matrix product."""
    begun = time.monotonic()
    model = random_model(spec, dtype=setting.dtype, device=setting.device)
    ready_s = time.monotonic() - begun
    asked = Asked(setting.repeats, max(0.0, setting.left_s * FOR_PROFILE))
    found = measured(model, PROMPT, asked)
    problem = _problem(spec, setting, found)
    if profiles is not None and problem.profile is not None:
        write_document(problem.profile, str(profiles / profile_name(spec.name, setting.kind)))
    tables = [list(_pass_rows(spec, found, ceiling)), list(_side_rows(spec, found, ceiling))]
    tables += [_executed(problem, model, setting), _variants(model, setting)]
    notes = [f"weights made in {ready_s:.1f} s", f"{setting.dtype}".removeprefix("torch.")]
    if setting.device.type == "cuda":
        notes.append(f"at most {torch.cuda.max_memory_allocated(setting.device) / 1e9:.1f} GB")
    notes += [f"missing {name}: {why}" for name, why in found.missing.items()]
    return Section(spec.name, [*_goal(spec, found, ceiling), _joint(spec, found)], tables, "; ".join(notes))


def _problem(spec: ModelSpec, setting: Setting, found: Found) -> Problem:
    cluster = Cluster.of(setting.kind)
    profile = profile_of(spec, cluster, [found], device_name(setting.device))
    workload = Workload(blocks=spec.window_blocks + spec.passes)
    return Problem(model=spec, cluster=cluster, workload=workload, profile=profile)


# -- what single points say --------------------------------------------------------------------------------------


def _flops(spec: ModelSpec, name: str) -> int:
    """Of a point, by its name; 0 if no closed form is known."""
    kind, _, number = name.partition(" ")
    full, size = spec.window_blocks - 1, int(number or 0)
    if kind in ("denoise", "clean"):
        return spec.pass_flops(size)
    if kind == "batch":
        return size * spec.pass_flops(full)
    if kind == "tick":
        return sum(spec.pass_flops(full + newer) for newer in range(size))
    if kind == "recache":
        return sum(spec.pass_flops(context) for context in range(full))
    return spec.decode_flops(0 if kind == "decode_first" else 1) if kind.startswith("decode") else 0


def _pass_rows(spec: ModelSpec, found: Found, ceiling: float) -> Iterator[tuple[str, ...]]:
    yield ("passes", "median ms", "quartiles ms", "TFLOP/s", "of matmul")
    for kind in ("denoise", "clean", "recache", "batch", "tick"):
        for name, times in found.times.items():
            if name.partition(" ")[0] == kind:
                yield _row(spec, name, times, ceiling)


def _side_rows(spec: ModelSpec, found: Found, ceiling: float) -> Iterator[tuple[str, ...]]:
    yield ("beside passes", "median ms", "quartiles ms", "TFLOP/s", "of matmul")
    for name in ("decode_first", "decode", "encode", "text"):
        if name in found.times:
            yield _row(spec, name, found.times[name], ceiling)


def _row(spec: ModelSpec, name: str, times: Sequence[float], ceiling: float) -> tuple[str, ...]:
    ordered, flops = sorted(times), _flops(spec, name)
    us, rate = statistics.median(ordered), flops / statistics.median(ordered) / 1e6
    lower, upper = (ordered[int(share * len(ordered))] / 1e3 for share in (0.25, 0.75))
    rates = (f"{rate:.4g}", f"{rate / ceiling:.1%}") if flops else ("", "")
    return (name, f"{us / 1e3:.3f}", f"{lower:.3f} .. {upper:.3f}", *rates)


def _goal(spec: ModelSpec, found: Found, ceiling: float) -> Iterator[Line]:
    name, goal = f"denoise {spec.window_blocks - 1}", f">= {GOAL:.0%} of matmul"
    if name not in found.times:
        yield Line("pass at full window", goal, f"not measured: {found.missing.get(name, '')}")
        return
    rate = _flops(spec, name) / statistics.median(found.times[name]) / 1e6
    told = f"{rate / ceiling:.1%} ({rate:.4g} of {ceiling:.4g} TFLOP/s)"
    yield Line("pass at full window", goal, told, rate >= GOAL * ceiling)


def _joint(spec: ModelSpec, found: Found) -> Line:
    """One device at full window: a block's passes one by one, against the joint tick that ends a block each time."""
    full, what = spec.window_blocks - 1, "a block on one device: sequential against one joint batch"
    wanted = {f"denoise {full}": spec.steps, f"clean {full}": int(spec.clean_pass), f"tick {spec.passes}": 1}
    medians = {name: statistics.median(found.times[name]) for name, n in wanted.items() if n and name in found.times}
    if len(medians) < sum(map(bool, wanted.values())):
        return Line(what, "", "not measured")
    joint = medians.pop(f"tick {spec.passes}")
    sequential = sum(wanted[name] * us for name, us in medians.items())
    return Line(what, "", f"{sequential / 1e3:.2f} ms against {joint / 1e3:.2f} ms: {sequential / joint:.2f} x")


# -- plans carried out ---------------------------------------------------------------------------------------------


def _executed(problem: Problem, model: LoadedModel, setting: Setting) -> Details:
    """Whole clips on the one device: planned by the profile, and as they ran."""
    rows: Details = [("plans on one device", "planned ms", "measured ms", "off", "fps", "steady fps")]
    for pattern, placement in (("sequential", "free"), ("cascade:1:live-joint", "batched")):
        try:
            rows.append((f"{pattern} on {placement}", *_run(problem, model, setting, pattern, placement)))
        except BlockcascadeError as error:
            rows.append((f"{pattern} on {placement}", f"not run: {error}"[:200], "", "", "", ""))
    return rows


def _run(problem: Problem, model: LoadedModel, setting: Setting, pattern: str, placement: str) -> tuple[str, ...]:
    spec = problem.model
    found = plan(problem, pattern=Pattern.parse(pattern, spec), placement=Placement.parse(placement))
    # Warm-up and checks take some time too.
    if 2 * found.makespan_us / 1e6 + 5 > setting.left_s:
        return (f"{found.makespan_us / 1e3:.1f}", "skipped: no time left", "", "", "")
    clip = execute(found, problem, model, prompts=PROMPT, ranks="threads")
    assert clip is not None, "threads return their clip here"
    seen: Metrics = metrics(spec, problem.cluster, clip.trace.ranks)
    planned, took = found.makespan_us, clip.trace.makespan_us
    off = f"{took / planned - 1:+.1%}"
    return (f"{planned / 1e3:.1f}", f"{took / 1e3:.1f}", off, f"{seen.fps:.2f}", f"{seen.steady_fps:.2f}")


# -- variants ------------------------------------------------------------------------------------------------------


def _variants(model: LoadedModel, setting: Setting) -> Details:
    """A pass at full window with other attention kernels, and compiled."""
    spec, wan = model.spec, model.wan
    name = f"denoise {spec.window_blocks - 1}"
    rows: Details = [("variants of " + name, "median ms", "")]

    def timed(label: str, ready: Callable[[], None]) -> None:
        try:
            ready()
            bench = PassBench(wan, wan.encode_text(model.embed_prompt(PROMPT)), fused=True)
            point = next(point for point in bench.points(together=False) if point.name == name)
            found = in_rounds([point], setting.timer, repeats=setting.repeats, limit_s=max(0.0, setting.left_s))
            times = found.times.get(name)
            rows.append((label, f"{statistics.median(times) / 1e3:.3f}", "") if times else (label, "", "skipped"))
        except ModelError as error:
            rows.append((label, "", f"not here: {error}"[:120]))

    usual, eager = wan.attention.value, (wan.project, wan.absorb)
    for backend in BACKENDS:
        timed(f"attention {backend}", lambda backend=backend: wan.use_attention(backend))  # type: ignore[misc]
    wan.use_attention(usual)
    if setting.left_s < setting.compile_s:
        rows.append(("torch.compile", "", "skipped: no time left"))
    else:
        timed("torch.compile", lambda: wan.compile(**setting.compile_options))
        wan.project, wan.absorb = eager
    return rows
