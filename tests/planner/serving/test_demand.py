"""Who comes: text forms, files, and what is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from planner.errors import InputError
from planner.serving.arrivals_file import read_arrivals
from planner.serving.demand import Arrivals, Demand, Lengths, Prompts, sessions_of
from tests.planner.serving.by_hand import TOY


def test_text_forms() -> None:
    assert Arrivals.parse("all:12") == Arrivals(sessions=12)
    assert Arrivals.parse("poisson:2/min:40") == Arrivals(kind="poisson", per_hour=120.0, sessions=40)
    assert Lengths.parse("90") == Lengths(seconds=90)
    assert Lengths.parse("exp:90") == Lengths(kind="exponential", seconds=90)
    assert Lengths.parse("lognormal:90:0.5") == Lengths(kind="log-normal", seconds=90, sigma=0.5)
    assert Prompts.parse("3") == Prompts(count=3)
    assert Prompts.parse("30/h") == Prompts(per_minute=0.5)


@pytest.mark.parametrize("text", ["", "all:x", "poisson:3", "poisson:0/h", "poisson:-1/h", "all:-1", "3", "all:200000"])
def test_arrivals_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="arrivals"):
        Arrivals.parse(text)


@pytest.mark.parametrize("text", ["", "-1", "0", "exp", "exp:-1", "lognormal:3", "nan", "inf", "exp:1:2", "1e9"])
def test_lengths_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="length"):
        Lengths.parse(text)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "x", "3/day"])
def test_prompts_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="prompts"):
        Prompts.parse(text)


def test_fields_that_do_not_go_together() -> None:
    for data in ({"kind": "poisson"}, {"per_hour": 3}, {"kind": "trace"}, {"visits": [{"arrival_s": 0, "seconds": 1}]}):
        with pytest.raises(ValidationError):
            Arrivals.model_validate(data)
    with pytest.raises(ValidationError, match="not both"):
        Prompts(count=1, per_minute=1)


def test_seconds_are_whole_blocks_at_the_viewers_rate() -> None:
    def blocks(seconds: float, fps: float | None = None) -> int:
        demand = Demand(arrivals=Arrivals(), lengths=Lengths(seconds=seconds), fps=fps)
        return sessions_of(demand, TOY, 0)[0].blocks

    # 9 frames, then 12 a block: 21 frames are two blocks, 22 are three.
    assert [blocks(9 / 16), blocks(21 / 16), blocks(22 / 16)] == [1, 2, 3]
    assert blocks(1.0, fps=21) == 2
    with pytest.raises(InputError, match="blocks; at most"):
        blocks(10**6, fps=1000)


def test_what_is_drawn_has_the_means_asked_for() -> None:
    demand = Demand(
        arrivals=Arrivals(kind="poisson", per_hour=60, sessions=5_000),
        lengths=Lengths(kind="log-normal", seconds=300, sigma=1.0),
        prompts=Prompts(per_minute=2),
    )
    sessions = sessions_of(demand, TOY, 1)
    assert sessions[-1].arrival_us / 5_000 == pytest.approx(60e6, rel=0.04)
    seconds = sum(session.blocks for session in sessions) * 0.75
    assert seconds / 5_000 == pytest.approx(300, rel=0.06)
    switches = sum(len(session.switches_us) for session in sessions)
    assert switches / seconds * 60 == pytest.approx(2, rel=0.03)
    assert sessions == sessions_of(demand, TOY, 1)
    assert sessions != sessions_of(demand, TOY, 2)


def test_a_file_of_sessions(tmp_path: Path) -> None:
    csv, lines = tmp_path / "a.csv", tmp_path / "a.jsonl"
    csv.write_text("seconds,arrival_s,prompts,fps\n60,5,2,\n\n30,0,,24\n")
    lines.write_text('{"arrival_s": 5, "seconds": 60, "prompts": 2}\n{"arrival_s": 0, "seconds": 30, "fps": 24}\n')
    found = read_arrivals(str(csv))
    assert found == read_arrivals(str(lines))
    first, second = sessions_of(Demand(arrivals=found, prompts=Prompts(count=1)), TOY, 0)
    assert (first.number, first.arrival_us, first.fps, len(first.switches_us)) == (1, 0, 24.0, 1)
    assert (second.number, second.arrival_us, second.fps, len(second.switches_us)) == (0, 5_000_000, 16.0, 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no session"),
        ("arrival_s,seconds\n", "holds no session"),
        ("arrival_s\n1\n", "the header lacks seconds"),
        ("arrival_s,seconds,color\n1,2,3\n", "unknown color"),
        ("arrival_s,seconds\n1,2\n3\n", "line 3: has 1 values, the header names 2"),
        ("arrival_s,seconds\n-1,2\n", "line 2: arrival_s"),
        ("arrival_s,seconds\n1,0\n", "line 2: seconds"),
        ("arrival_s,seconds\n1,soon\n", "line 2: seconds"),
        ('{"arrival_s": 1}\n', "line 1: seconds"),
        ('{"arrival_s": 1,\n', "line 1: not valid JSON"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "sessions"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        read_arrivals(str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_arrivals(str(tmp_path / "none"))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        read_arrivals(str(tmp_path / "bytes"))
