"""`blockcascade simulate` as a stranger meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from executor.cli import cli
from planner.conditions import Conditions, Jitter, Outage, Player, SlowLink, StartUp, Straggler
from planner.files import read_document, read_plan
from planner.measures import Measures
from planner.montecarlo import Summary, montecarlo
from planner.problem import Problem
from planner.simulate import simulate
from planner.trace import Trace

TOY = ["--model", "toy", "--device", "cpu-core", "--count", "2", "--blocks", "3"]
PLACED = ["--pattern", "cascade:1", "--placement", "block"]


def call(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


@pytest.fixture
def made(tmp_path: Path) -> tuple[str, str]:
    problem, plan = str(tmp_path / "problem.json"), str(tmp_path / "plan.json")
    assert call("plan", *TOY, *PLACED, "-o", plan, "--save-problem", problem).exit_code == 0
    return problem, plan


def traced(made: tuple[str, str], *words: str) -> Trace:
    result = call("simulate", *made, *words)
    assert result.exit_code == 0, result.output
    return Trace.from_json(result.stdout)


def expected(made: tuple[str, str], conditions: Conditions) -> Trace:
    return simulate(read_plan(made[1]), read_document(Problem, made[0]), conditions)


FLAGS = {
    "--jitter 0.2 --seed 7": Conditions(jitter=Jitter.of(0.2), seed=7),
    "--straggler 0:1.5 --straggler 1:2": Conditions(
        stragglers=(Straggler(rank=0, factor=1.5), Straggler(rank=1, factor=2))
    ),
    "--slow-link 3 --slow-link 0:1:2.5": Conditions(
        slow_links=(SlowLink(factor=3), SlowLink(source=0, target=1, factor=2.5))
    ),
    "--outage 1:0.01:0.5 --outage 0:0.02:0.021": Conditions(
        outages=(Outage(rank=1, at_us=10_000, back_us=500_000), Outage(rank=0, at_us=20_000, back_us=21_000))
    ),
    "--start-up 1.5 --compile-time 0.25": Conditions(start_up=StartUp(ready_us=1_500_000, compile_us=250_000)),
    "--player-start 2 --player-queue 2": Conditions(player=Player(start_blocks=2, queue_blocks=2)),
    "--turns fair --host-slots 1 --slow-link 50": Conditions(
        turns="fair", host_slots=1, slow_links=(SlowLink(factor=50),)
    ),
}


@pytest.mark.parametrize("words", FLAGS)
def test_flags_are_conditions(made: tuple[str, str], words: str) -> None:
    found = traced(made, *words.split())
    assert found == expected(made, FLAGS[words])
    if "player-start" not in words:
        assert found != expected(made, Conditions())


def test_a_file_of_conditions_that_flags_add_to(made: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "conditions.yaml"
    file.write_text(
        "seed: 4\njitter: {passes: {sigma: 0.1}}\nstragglers: [{rank: 0, factor: 2}]\nstart_up: {ready_us: 9}\n"
    )
    found = traced(made, "--conditions", str(file), "--straggler", "1:3", "--start-up", "1")
    given = json.loads(found.to_json())
    wanted = Conditions(
        seed=4,
        jitter=Jitter.model_validate({"passes": {"sigma": 0.1}}),
        stragglers=(Straggler(rank=0, factor=2), Straggler(rank=1, factor=3)),
        start_up=StartUp(ready_us=1_000_000),
    )
    assert given == json.loads(expected(made, wanted).to_json())


def test_measures_instead_of_the_trace(made: tuple[str, str], tmp_path: Path) -> None:
    result = call("simulate", *made, "--json")
    assert Measures.from_json(result.stdout).makespan_us == read_plan(made[1]).makespan_us
    out = tmp_path / "trace.json"
    both = call("simulate", *made, "--json", "-o", str(out))
    assert both.stdout == result.stdout
    assert read_document(Trace, str(out)).makespan_us == read_plan(made[1]).makespan_us
    told = call("simulate", *made, "-o", str(out))
    for word in ("time to first frame", "deadline attainment", "peak memory", "r0 to r1"):
        assert word in told.stdout


def test_a_run_that_stops_says_why(made: tuple[str, str]) -> None:
    result = call("simulate", *made, "--outage", "1:0.02")
    assert result.exit_code == 0, result.output
    assert "stopped: r1 was out for good at 0.020 s; finished" in result.stderr
    assert Trace.from_json(result.stdout).stopped


def test_many_runs(made: tuple[str, str], tmp_path: Path) -> None:
    result = call("simulate", *made, "--runs", "50", "--jitter", "0.2")
    assert result.exit_code == 0, result.output
    assert "50 runs (max-plus) of seed 0" in result.stdout
    for word in ("p50", "p95", "p99", "makespan", "stall time", "utilization of r1"):
        assert word in result.stdout
    told = call("simulate", *made, "--runs", "50", "--jitter", "0.2", "-o", str(tmp_path / "runs.json"))
    problem, plan = read_document(Problem, made[0]), read_plan(made[1])
    wanted = montecarlo(plan, problem, Conditions(jitter=Jitter.of(0.2)), 50).summary()
    assert read_document(Summary, str(tmp_path / "runs.json")) == wanted
    assert Summary.from_json(call("simulate", *made, "--runs", "50", "--jitter", "0.2", "--json").stdout) == wanted
    assert told.stdout == result.stdout
    gone = call("simulate", *made, "--runs", "3", "--outage", "0:0.01")
    assert "3 runs (max-plus) of seed 0, 3 stopped for good" in gone.stdout


def test_as_measured_runs_went(made: tuple[str, str], tmp_path: Path) -> None:
    files = [str(tmp_path / f"{seed}.json") for seed in range(4)]
    for seed, file in enumerate(files):
        assert (
            call("simulate", *made, "--straggler", "0:2", "--jitter", "0.1", "--seed", str(seed), "-o", file).exit_code
            == 0
        )
    slow = sorted(read_document(Trace, file).makespan_us for file in files)
    fits = [word for file in files for word in ("--fit", file)]
    found = traced(made, *fits)
    found.require(read_plan(made[1]))
    assert found.makespan_us == pytest.approx(slow[1], rel=0.15)
    many = Summary.from_json(call("simulate", *made, *fits, "--runs", "200", "--json").stdout)
    assert many.figures["makespan_us"].p50 == pytest.approx((slow[1] + slow[2]) / 2, rel=0.05)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--straggler 5:2", "conditions: stragglers: rank 5: the cluster has ranks 0 to 1"),
        ("--straggler 5", "--straggler: '5' is not RANK:FACTOR"),
        ("--straggler 0:nan", "--straggler: '0:nan' is not RANK:FACTOR"),
        ("--straggler 0:0", "stragglers.0.factor: Input should be greater than 0"),
        ("--slow-link 0:2", "--slow-link: '0:2' is not FACTOR|FROM:TO:FACTOR"),
        ("--slow-link x", "--slow-link: 'x' is not FACTOR|FROM:TO:FACTOR"),
        ("--outage 0", "--outage: '0' is not RANK:AT[:BACK]"),
        ("--outage 0:1:2:3", "--outage: '0:1:2:3' is not RANK:AT[:BACK]"),
        ("--outage 0:-1", "--outage: must be seconds from 0, not -1.0"),
        ("--outage 0:2:1", "outages.0: back_us: must come after at_us (2000000)"),
        ("--outage 0:1:3 --outage 0:2:4", "outages: those of rank 0 overlap"),
        ("--start-up -1", "--start-up: must be seconds from 0, not -1.0"),
        ("--compile-time nan", "--compile-time: must be seconds from 0, not nan"),
        ("--player-start 3 --player-queue 2", "player: queue_blocks: must hold the 3 blocks"),
        ("--jitter 3", "jitter.passes.sigma: Input should be less than or equal to 2"),
        ("--seed -1", "seed: Input should be greater than or equal to 0"),
        ("--runs 0", "--runs: must be at least 1, not 0"),
        ("--host-slots 0", "host_slots: Input should be greater than or equal to 1"),
        ("--fit missing.json", "missing.json: no such file"),
        ("--conditions missing.json", "missing.json: no such file"),
    ],
)
def test_bad_input_is_one_line(made: tuple[str, str], words: str, told: str) -> None:
    result = call("simulate", *made, *words.split())
    assert result.exit_code == 2, result.output
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_fitted_jitter_or_given_jitter(made: tuple[str, str], tmp_path: Path) -> None:
    trace = str(tmp_path / "trace.json")
    assert call("simulate", *made, "-o", trace).exit_code == 0
    result = call("simulate", *made, "--fit", trace, "--jitter", "0.1")
    assert result.exit_code == 2
    assert "--jitter: comes from the traces of --fit; give one of them" in result.stderr
