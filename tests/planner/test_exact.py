"""Exact solving: equal to the oracles on small instances, proven on grids, never worse than its hint."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.bounds.candidates import is_uniform
from planner.bounds.heads import heads_tails
from planner.bounds.makespan import makespan_bound
from planner.errors import InputError
from planner.instance import ANY, Instance, Live, Schedule
from planner.schedulers.cp_sat import Effort, ask
from planner.schedulers.exact import Exact, solve
from planner.schedulers.exact_model import ExactModel, Limits
from planner.schedulers.frontier import search
from planner.schedulers.frontier_paths import best_schedule
from planner.schedulers.frontier_rows import area_rows, multiplier_row
from planner.schedulers.frontier_tables import Tables, mirrored
from planner.schedulers.incumbent import Incumbent
from planner.schedulers.list_schedule import list_schedule
from planner.schedulers.multipliers import linear_bound
from planner.schedulers.replay import replay
from planner.schedulers.ticks import Ticks
from planner.schedulers.twins import twins
from tests.instances import cascade_grid, full_wires, instances
from tests.planner.oracles import brute_force, staircase_optimum
from tests.planner.validity import faults

AMPLE_S = 60.0  # no solve here comes near, but machines are shared


def solved(instance: Instance, limit_s: float = AMPLE_S) -> Exact:
    """From the plainest hint and no bound."""
    return solve(instance, hint=list_schedule(instance), bound_us=0, limit_s=limit_s)


def optimum(instance: Instance) -> int:
    found = solved(instance)
    assert found.status == "OPTIMAL"
    assert faults(instance, found.schedule) == []
    assert found.schedule.makespan_us == found.bound_us
    return found.bound_us


def one_by_one(instance: Instance) -> Schedule:
    """A poor hint: everything on the first unit."""
    starts, ends = [], [0]
    for row in instance.durations:
        starts.append(ends[-1])
        ends.append(ends[-1] + row[0])
    return Schedule([0] * instance.size, starts, ends[1:], [])


# -- against the oracles


@given(instances(live=False))
@settings(max_examples=120, deadline=None)
def test_equals_brute_force(instance: Instance) -> None:
    assert optimum(instance) == brute_force(instance)


@given(instances(wires=False, max_tasks=7))
@settings(max_examples=40, deadline=None)
def test_equals_brute_force_with_live_inputs(instance: Instance) -> None:
    assert optimum(instance) == brute_force(instance)


@given(instances(max_tasks=7, max_us=6), st.booleans())
@settings(max_examples=60, deadline=None)
def test_cp_sat_alone_equals_brute_force(instance: Instance, together: bool) -> None:
    if instance.live and instance.wires:
        instance = instance._replace(wires=None)
    ticks = Ticks.of(instance)
    incumbent = Incumbent(list_schedule(instance), 0, AMPLE_S, None, ticks.tick_us)
    if together and not instance.wires and not instance.live and is_uniform(instance):
        ask(incumbent, ticks, heads_tails(instance), Effort(AMPLE_S, 4, 0), together=True)
    ask(incumbent, ticks, heads_tails(instance), Effort(AMPLE_S, 4, 0))
    assert faults(instance, incumbent.schedule) == []
    assert incumbent.best_us == incumbent.bound_us == brute_force(instance)


@given(instances(live=False), st.booleans())
@settings(max_examples=80, deadline=None)
def test_the_search_over_states_equals_brute_force_or_bounds_it(instance: Instance, backwards: bool) -> None:
    backwards = backwards and not instance.release_us
    image = mirrored(instance) if backwards else instance
    tables, best = Tables.of(image, heads_tails(image)), brute_force(instance)
    tick = tables.ticks.tick_us
    least, multipliers = linear_bound(tables) or pytest.fail("the linear program has a solution")
    assert least * tick <= best
    rows = [*area_rows(tables), multiplier_row(tables, multipliers)]
    found = search(tables, rows, limit=1 << 30, bound=least, width=10**6, cells=10**9)
    schedule = best_schedule(tables, found, instance, backwards=backwards)
    assert schedule is not None
    assert faults(instance, schedule) == []
    assert found.bound * tick <= best <= schedule.makespan_us
    if not instance.wires:
        assert found.bound * tick == schedule.makespan_us
        tight = search(tables, rows, limit=best // tick + 1, bound=least, width=10**6, cells=10**9)
        assert tight.ends_S.min() == tight.bound == best // tick
    beam = search(tables, rows, limit=1 << 30, bound=least, width=1, cells=10**9)
    assert beam.bound * tick <= best


def test_flows_from_tasks_out_of_sight_count() -> None:
    """Task 5 is in sight once task 0 has started, task 2, which it reads too, only after task 1."""
    grid = Instance(
        units=3,
        durations=[(3, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 4, 4)],
        inputs=[(), ((0, 0),), ((1, 2),), (), (), ((0, 0), (1, 2), (2, 4))],
        payload_bytes=[0] * 12,
        blocks=[0] * 6,
        stays=[ANY, 0, 1, 2, 3, 4],
    )
    assert optimum(grid) == 8


@given(instances(live=False, wires=False, releases=False, max_tasks=7))
@settings(max_examples=60, deadline=None)
def test_mirrored_multipliers_bound_the_mirror_image(instance: Instance) -> None:
    tables, image = Tables.of(instance, heads_tails(instance)), mirrored(instance)
    solution = linear_bound(tables)
    assert solution is not None
    turned = Tables.of(image, heads_tails(image))
    rows = [multiplier_row(turned, solution[1].mirrored(instance.size))]
    found = search(turned, rows, limit=1 << 30, bound=0, width=10**6, cells=10**9)
    assert found.bound * tables.ticks.tick_us == brute_force(instance)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_equals_the_staircases_on_unit_tasks(blocks: int, passes: int, units: int, offset: int) -> None:
    grid = cascade_grid(blocks, units, passes=passes, pass_us=1, decode_us=0, offset=min(offset, passes))
    assert optimum(grid) == staircase_optimum(blocks, passes, units, min(offset, passes))


@pytest.mark.parametrize("units", [2, 3, 4])
def test_equals_the_staircases_of_a_clip(units: int) -> None:
    grid = cascade_grid(7, units, pass_us=10, decode_us=0)
    assert optimum(grid) == 10 * staircase_optimum(7, 5, units, 1)


# -- closed forms and anchors


@pytest.mark.parametrize("blocks", [3, 6])
def test_enough_devices_leave_the_critical_path(blocks: int) -> None:
    assert optimum(cascade_grid(blocks, 8)) == (blocks - 1) * 10 + 57


def test_a_sequential_clip_gains_from_a_second_device_only_by_its_decodes() -> None:
    grid = cascade_grid(4, 1, offset=5)
    assert optimum(grid) == 4 * 57
    assert optimum(cascade_grid(4, 2, offset=5)) == optimum(cascade_grid(4, 4, offset=5)) == 4 * 50 + 7


@pytest.mark.parametrize(("blocks", "units", "makespan"), [(7, 2, 205), (20, 5, 251)])
def test_anchors_of_decoders_that_run_anywhere(blocks: int, units: int, makespan: int) -> None:
    assert optimum(cascade_grid(blocks, units, decoder="any")) == makespan


def test_times_may_be_microseconds() -> None:
    """The same instance a thousand times longer takes no longer to solve: times are divided by what divides all."""
    grid = cascade_grid(7, 4, pass_us=10_000, decode_us=7_000)
    assert optimum(grid) == 1000 * optimum(cascade_grid(7, 4))


def test_a_poor_hint_and_no_bound_are_enough() -> None:
    grid = cascade_grid(7, 5)
    found = solve(grid, hint=one_by_one(grid), bound_us=0, limit_s=AMPLE_S)
    assert (found.status, found.schedule.makespan_us, found.bound_us) == ("OPTIMAL", 119, 119)


# -- more never hurts


@given(instances(max_tasks=6, live=False, wires=False), st.data())
@settings(max_examples=25, deadline=None)
def test_a_faster_unit_never_hurts(instance: Instance, data: st.DataObject) -> None:
    unit = data.draw(st.integers(0, instance.units - 1))
    faster = [
        tuple(max(1, length // 2) if at == unit and length else length for at, length in enumerate(row))
        for row in instance.durations
    ]
    assert optimum(instance._replace(durations=faster)) <= optimum(instance)


@given(instances(max_tasks=6, live=False))
@settings(max_examples=25, deadline=None)
def test_a_wider_link_never_hurts(instance: Instance) -> None:
    wires = {pair: wire._replace(bytes_per_us=4 * wire.bytes_per_us) for pair, wire in (instance.wires or {}).items()}
    best = optimum(instance)
    assert optimum(instance._replace(wires=wires if instance.wires is not None else None)) <= best
    assert optimum(instance._replace(wires=None)) <= best


@given(instances(max_tasks=6, max_units=2, live=False, wires=False))
@settings(max_examples=25, deadline=None)
def test_one_unit_more_never_hurts(instance: Instance) -> None:
    wider = [(*row, max(row) if task not in instance.gangs else 0) for task, row in enumerate(instance.durations)]
    more = instance._replace(units=instance.units + 1, durations=wider)
    assert optimum(more) <= optimum(instance)


# -- time limits and progress


def test_no_time_gives_the_hint_with_its_gap() -> None:
    grid = cascade_grid(10, 3)
    hint, bound = list_schedule(grid), makespan_bound(grid).value_us
    found = solve(grid, hint=hint, bound_us=bound, limit_s=0)
    assert found.schedule == hint
    assert (found.status, found.bound_us, found.schedule_by, found.bound_by) == ("FEASIBLE", bound, "hint", "hint")


def test_a_hint_that_meets_the_bound_is_returned_at_once() -> None:
    grid = cascade_grid(3, 8)
    hint = list_schedule(grid)
    found = solve(grid, hint=hint, bound_us=hint.makespan_us, limit_s=AMPLE_S)
    assert (found.schedule, found.status) == (hint, "OPTIMAL")


@given(instances(live=False), st.sampled_from([0.0, 0.001, 0.01]))
@settings(max_examples=25, deadline=None)
def test_any_time_limit_leaves_a_valid_answer(instance: Instance, limit_s: float) -> None:
    found = solved(instance, limit_s)
    assert faults(instance, found.schedule) == []
    assert found.bound_us <= brute_force(instance) <= found.schedule.makespan_us
    assert found.schedule.makespan_us <= list_schedule(instance).makespan_us


@dataclass
class Heard:
    """What was reported."""

    rows: list[tuple[int, int, float]] = field(default_factory=list)

    def __call__(self, best_us: int, bound_us: int, seconds: float) -> None:
        self.rows.append((best_us, bound_us, seconds))


def test_progress_only_gets_better() -> None:
    grid, heard = cascade_grid(4, 3, speeds=(1.0, 0.8, 0.5)), Heard()
    found = solve(grid, hint=one_by_one(grid), bound_us=0, limit_s=AMPLE_S, on_progress=heard)
    assert heard.rows[-1][:2] == (found.schedule.makespan_us, found.bound_us)
    for before, after in zip(heard.rows, heard.rows[1:], strict=False):
        assert after[0] <= before[0]
        assert after[1] >= before[1]
        assert after[2] >= before[2]


def test_the_same_question_has_the_same_answer() -> None:
    grid = cascade_grid(4, 2, speeds=(1.0, 0.5))
    first, second = solved(grid), solved(grid)
    assert first._replace(seconds=0) == second._replace(seconds=0)


# -- what is refused


def test_live_inputs_that_would_travel_are_unsupported() -> None:
    live = Instance(
        units=2,
        durations=[(4, 9), (9, 4)],
        inputs=[(), ()],
        payload_bytes=[4],
        blocks=[0, 0],
        stays=[ANY, ANY],
        wires=full_wires(2),
        live={1: (Live(0, 0, 1, 1),)},
    )
    hint = list_schedule(live)
    found = solve(live, hint=hint, bound_us=0, limit_s=AMPLE_S)
    assert (found.status, found.schedule) == ("UNSUPPORTED", hint)
    assert solved(live._replace(wires=None)).status == "OPTIMAL"


def test_or_tools_missing_is_said_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(InputError, match="pip install ortools"):
        solved(cascade_grid(2, 2))


def test_importing_loads_neither_or_tools_nor_numpy() -> None:
    code = "import planner.schedulers.exact, sys; sys.exit(bool({'ortools', 'numpy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_ctrl_c_does_what_it_did_before() -> None:
    """The solver catches it while it runs, and would leave it to end the process."""
    grid = cascade_grid(3, 2)
    ticks = Ticks.of(grid)
    incumbent = Incumbent(list_schedule(grid), 0, AMPLE_S, None, ticks.tick_us)
    ask(incumbent, ticks, heads_tails(grid), Effort(AMPLE_S, 1, 0))
    assert incumbent.is_optimal
    caught = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("SigCgt"))
    assert int(caught.split()[1], 16) >> (signal.SIGINT - 1) & 1


# -- parts


def test_an_impossible_limit_is_seen_without_solving() -> None:
    grid = cascade_grid(2, 2)
    assert ExactModel(Ticks.of(grid), heads_tails(grid), Limits(limit=60, bound=0)).is_impossible


def test_replay_refuses_what_makes_no_sense() -> None:
    grid = cascade_grid(2, 2, passes=1, transfer=3)
    assert replay(grid, [0, 0, 1, 0], [0, 1, 2, 3]) is not None
    assert replay(grid, [0, 0, 1, 0], [1, 0, 2, 3]) is None  # a reader before its maker
    assert replay(grid, [0, 0, 1, 0], [0, 1, 2]) is None  # a task left out
    assert replay(grid, [0, 0, 1, 0], [0, 0, 1, 2, 3]) is None  # a task twice
    assert replay(grid, [0, 0, 1, 1], [0, 1, 2, 3]) is None  # decodes apart
    assert replay(grid, [0, 0, 1, 0], [(1, 1), 0, 1, 2, 3]) is None  # sent before it is made


def test_twins_are_decodes_that_could_change_places() -> None:
    free = twins(cascade_grid(3, 2, decoder="any"))
    assert (free[5], free[11], free[17]) == (ANY, 5, 11)
    assert twins(cascade_grid(3, 2, decoder="any", transfer=3)) == [ANY] * 18
