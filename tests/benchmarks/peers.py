"""Other people's schedulers on our instances: PyJobShop (CP-SAT inside) and SAGA's HEFT.

Neither is needed by the planner or its tests: `pip install pyjobshop anrg-saga`. Both take equal devices on which
nothing travels and any task may run anywhere.
"""

from __future__ import annotations

import time
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

from planner.instance import Instance, Schedule
from tests.benchmarks.raw_cpsat import Answer, coloured

PACKAGES = {"pyjobshop": "pyjobshop", "saga": "anrg-saga"}  # what is imported, what is installed


def installed(module: str) -> str | None:
    """The version, or None if it is not there."""
    try:
        import_module(module)
        return version(PACKAGES[module])
    except (ImportError, PackageNotFoundError):
        return None


def pyjobshop(instance: Instance, limit_s: float, workers: int | None = None) -> Answer:
    """PyJobShop's answer; devices are one renewable resource, its strongest form for equal devices."""
    library: ModuleType = import_module("pyjobshop")
    model: Any = library.Model()
    devices = model.add_renewable(capacity=instance.units)
    tasks = [model.add_task() for _ in instance.durations]
    for task, times in zip(tasks, instance.durations, strict=True):
        model.add_mode(task, devices, times[0], demands=1)
    for task, reads in zip(tasks, instance.inputs, strict=True):
        for source, _ in reads:
            model.add_end_before_start(tasks[source], task)
    model.set_objective(weight_makespan=1)
    begun = time.perf_counter()
    result = model.solve(time_limit=limit_s, display=False, num_workers=workers)
    seconds = time.perf_counter() - begun
    starts, ends = [task.start for task in result.best.tasks], [task.end for task in result.best.tasks]
    proven = result.status.value == "Optimal"
    return Answer(
        schedule=Schedule(coloured(starts, ends), starts, ends, []) if starts else None,
        bound_us=round(result.lower_bound),
        status="OPTIMAL" if proven else "FEASIBLE" if starts else "UNKNOWN",
        seconds=seconds,
    )


def saga_heft(instance: Instance) -> Answer:
    """HEFT as SAGA has it, with insertion; `seconds` is its scheduler alone, not the building of its graph."""
    saga: Any = import_module("saga")
    scheduler = import_module("saga.schedulers").HeftScheduler()
    units = [str(unit) for unit in range(instance.units)]
    network = saga.Network.create(
        nodes=[(unit, 1.0) for unit in units], edges=[(u, v, float("inf")) for u in units for v in units]
    )
    graph = saga.TaskGraph.create(
        tasks=[(str(task), float(times[0])) for task, times in enumerate(instance.durations)],
        dependencies=[(str(s), str(task), 0.0) for task, reads in enumerate(instance.inputs) for s, _ in reads],
    )
    begun = time.perf_counter()
    mapping = scheduler.schedule(network, graph).mapping
    seconds = time.perf_counter() - begun
    # SAGA joins several ends in a task of its own, which takes no time.
    placed = {int(task.name): task for tasks in mapping.values() for task in tasks if task.name.isdigit()}
    rows = [placed[task] for task in range(instance.size)]
    starts, ends = [round(task.start) for task in rows], [round(task.end) for task in rows]
    return Answer(Schedule([int(task.node) for task in rows], starts, ends, []), 0, "FEASIBLE", seconds)
