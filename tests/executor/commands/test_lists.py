"""`models`, `devices` and `patterns`: all that is built in, with its source."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from executor.cli import cli
from executor.commands.patterns import MEANINGS
from models.catalog import CATALOG, load_spec
from planner.cluster import DEVICES, LINKS
from planner.patterns import Pattern, all_patterns, tolerates


def call(*words: str) -> Result:
    result = CliRunner().invoke(cli, list(words))
    assert result.exit_code == 0, result.output
    return result


def test_every_model_with_its_source() -> None:
    lines = call("models").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(CATALOG)
    for line, spec in zip(lines, CATALOG.values(), strict=True):
        assert line.endswith(spec.source)


def test_a_model_by_hand() -> None:
    """1.3B: 1560 tokens a frame of width 1536 in 30 layers, K and V, two bytes each."""
    told = call("models", "self-forcing-1.3b").stdout
    for figure in ("287.5 MB a latent frame, 862.6 MB a block", "1,560 a latent frame", "832x480", "30 of width 1536"):
        assert figure in told
    assert "sequential, cascade-live-joint" in told
    data = json.loads(call("models", "self-forcing-1.3b", "--json").stdout)["models"][0]
    assert data["derived"]["kv_bytes_per_frame"] == 1560 * 1536 * 2 * 2 * 30
    assert data["derived"]["pass_flops_full_window"] == load_spec("self-forcing-1.3b").pass_flops(6)
    assert data["source"].startswith("Self-Forcing")


def test_a_model_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: self-forcing-1.3b\nname: mine\nsource: my log\ntimesteps: [1000, 500]\n")
    assert "my log" in call("models", str(path)).stdout
    assert "cascade:2" in call("patterns", str(path)).stdout
    assert "cascade:3" not in call("patterns", str(path)).stdout


def test_every_device_and_link_with_its_source() -> None:
    told = call("devices").stdout
    for kind, device in DEVICES.items():
        (line,) = (line for line in told.splitlines() if line.startswith(f"{kind} "))
        assert f"{device.price_per_hour:.2f}" in line
        assert device.source.partition(";")[0] in line
    for kind, link in LINKS.items():
        (line,) = (line for line in told.splitlines() if line.startswith(f"{kind} "))
        assert line.endswith(link.source)
    data = json.loads(call("devices", "--json").stdout)
    assert [each["link"] for each in data["devices"]][:3] == ["nvlink4", "nvlink4", "nvlink3"]
    assert {each["kind"] for each in data["links"]} == set(LINKS)


def test_every_pattern_has_a_meaning_and_a_source() -> None:
    told = call("patterns").stdout
    for meaning in MEANINGS.values():
        assert all(text and text in told for text in meaning)
        text = meaning.form.replace("OFFSET", "1")
        assert str(Pattern.parse(text, load_spec("toy"))) == text, "the form is one that --pattern takes"


@pytest.mark.parametrize("model", ["krea-realtime-14b", "streamdiffusionv2-1.3b", "causal-forcing++-1step-1.3b"])
def test_which_a_model_tolerates(model: str) -> None:
    spec = load_spec(model)
    rows = json.loads(call("patterns", model, "--json").stdout)["patterns"]
    assert [(row["pattern"], row["tolerated"]) for row in rows] == [
        (str(pattern), tolerates(spec, pattern)) for pattern in all_patterns(spec)
    ]
    lines = call("patterns", model).stdout.splitlines()[2:]
    assert [(line.split()[0], "  yes  " in line) for line in lines] == [(r["pattern"], r["tolerated"]) for r in rows]


def test_blocks_in_flight_by_hand() -> None:
    """Five passes: offsets 5 to 1 keep 1, 2, 2, 3 and 5 blocks in flight."""
    rows = json.loads(call("patterns", "toy", "--json").stdout)["patterns"]
    found = {row["pattern"]: row["in_flight"] for row in rows}
    assert [found[name] for name in ("sequential", "cascade:4", "cascade:3", "cascade:2", "cascade:1")] == [
        1,
        2,
        2,
        3,
        5,
    ]
