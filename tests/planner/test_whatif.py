"""Sweeps: the same rows wherever they are answered, kept when interrupted, as tables."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from planner.errors import InputError, MismatchError
from planner.sweeping import spread_out
from planner.sweeping.row import Row, from_data
from planner.whatif import Grid, Sweep, whatif

GRID = Grid.from_data(
    {
        "model": ["toy", "self-forcing-1.3b"],
        "device": ["cpu-core", "h100", "4090"],
        "count": "1-4",
        "pattern": ["sequential", "cascade"],
        "price": [1, 2],
    },
    "grid",
)


@pytest.fixture(scope="module")
def serial() -> Sweep:
    return whatif(GRID, workers=1)


class Backwards(Executor):
    """Answers nothing until all that it holds is asked for, and then the last first."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Any, tuple[Any, ...]]] = []

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = _Asked(self)
        self.waiting.append((future, fn, args))
        return future

    def answer(self) -> None:
        for future, fn, args in reversed(self.waiting):
            future.set_result(fn(*args))
        self.waiting.clear()


class _Asked(Future[Any]):
    def __init__(self, executor: Backwards) -> None:
        super().__init__()
        self._executor = executor

    def result(self, timeout: float | None = None) -> Any:
        self._executor.answer()
        return super().result(timeout)


@contextmanager
def executor(kind: str) -> Iterator[Executor]:
    if kind == "backwards":
        yield Backwards()
        return
    with ThreadPoolExecutor(3) if kind == "threads" else ProcessPoolExecutor(2) as pool:
        yield pool


def test_rows_are_in_order_and_whole(serial: Sweep) -> None:
    assert [row.point for row in serial.rows] == list(range(GRID.size))
    assert serial.is_complete
    assert all(row.verdict for row in serial.rows)


@pytest.mark.parametrize("kind", ["threads", "processes", "backwards"])
def test_same_rows_on_any_executor(serial: Sweep, kind: str) -> None:
    told: list[Row] = []
    with executor(kind) as pool:
        assert whatif(GRID, executor=pool, on_row=told.append).rows == serial.rows
    assert tuple(told) == serial.rows


def test_same_rows_with_few_chunks_under_way(serial: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread_out, "UNKNOWN_AHEAD", 2)
    monkeypatch.setattr(spread_out, "LEAST", 5)
    monkeypatch.setattr(spread_out, "MOST", 16)
    with executor("threads") as pool:
        assert whatif(GRID, executor=pool).rows == serial.rows


def test_same_rows_on_own_processes(serial: Sweep) -> None:
    assert whatif(GRID, workers=2).rows == serial.rows


def test_a_row_is_its_points_own(serial: Sweep) -> None:
    """Whatever was answered before it: alone, each point has the same row."""
    for number in (0, 7, 30, GRID.size - 1):
        point = GRID.point(number)
        named = ("model", "device", "count", "pattern", "price")
        alone = Grid.from_data({name: [getattr(point, name)] for name in named}, "grid")
        assert whatif(alone, workers=1).rows[0]._replace(point=number) == serial.rows[number]


@pytest.mark.parametrize("known", [0, 1, 17, GRID.size])
def test_goes_on_after_known_rows(serial: Sweep, known: int) -> None:
    told: list[Row] = []
    found = whatif(GRID, rows=serial.rows[:known], on_row=told.append, workers=1)
    assert found.rows == serial.rows
    assert tuple(told) == serial.rows[known:]


def test_known_rows_are_the_first(serial: Sweep) -> None:
    for rows in (serial.rows[1:3], (*serial.rows, serial.rows[0])):
        with pytest.raises(MismatchError, match="are not the first ones"):
            whatif(GRID, rows=rows)


def test_known_rows_are_of_the_same_grid() -> None:
    """The same numbers, another device, price or way to find them."""
    asked = {"model": "toy", "device": "cpu-core", "count": "1-3", "price": 1, "blocks": 5}
    rows = whatif(Grid.from_data(asked, "grid"), workers=1).rows
    for other in (
        {"device": "h100"},
        {"price": 2},
        {"blocks": 4},
        {"steps": 2},
        {"pattern": "sequential"},
        {"exact": True},
    ):
        with pytest.raises(MismatchError, match="are not the first ones"):
            whatif(Grid.from_data(asked | other, "grid"), rows=rows, workers=1)
    longer = Grid.from_data(asked | {"count": "1-4"}, "grid")
    assert whatif(longer, rows=rows, workers=1).rows[:3] == rows


def test_an_interrupt_keeps_the_rows(serial: Sweep) -> None:
    def interrupt(row: Row) -> None:
        if row.point == 20:
            raise KeyboardInterrupt

    found = whatif(GRID, on_row=interrupt, workers=1)
    assert found.rows == serial.rows[:21]
    assert not found.is_complete
    assert whatif(GRID, rows=found.rows, workers=1).rows == serial.rows


def test_an_error_is_not_swallowed() -> None:
    def fail(_: Row) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        whatif(GRID, on_row=fail, workers=1)


def test_csv_and_json_lines(serial: Sweep) -> None:
    lines = list(csv.DictReader(io.StringIO(serial.to_csv())))
    assert len(lines) == GRID.size
    assert tuple(lines[0]) == Row._fields
    assert float(lines[0]["fps"]) == serial.rows[0].fps
    assert tuple(from_data(json.loads(line)) for line in serial.to_json_lines().splitlines()) == serial.rows


def test_pandas(serial: Sweep) -> None:
    pandas = pytest.importorskip("pandas")
    frame = serial.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert (len(frame), tuple(frame.columns)) == (GRID.size, Row._fields)
    assert frame.fps.notna().sum() == sum(row.is_possible for row in serial.rows)
    assert frame.groupby("device").fps.max()["h100"] == max(r.fps or 0 for r in serial.rows if r.device == "h100")


def test_without_pandas(serial: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"blockcascade\[sweep\]"):
        serial.to_pandas()


def test_front_of_a_sweep(serial: Sweep) -> None:
    front = serial.pareto()
    fps = [row.figure("steady_fps") for row in front]
    money = [row.figure("money_per_minute") for row in front]
    assert fps == sorted(fps, reverse=True)
    assert money == sorted(money, reverse=True)


@pytest.mark.dist
def test_dask_gives_the_same_rows(serial: Sweep) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, worker_dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = set(client.run(__import__("os").getpid).values())
        assert whatif(GRID, executor=client.get_executor()).rows == serial.rows
    assert len(pids) == 2
