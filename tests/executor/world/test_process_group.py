"""Who this process is among the ranks, read from a launcher's announcement and from nothing else."""

from __future__ import annotations

import pytest
import torch

from executor.errors import WorldError
from executor.world.limits import Limits
from executor.world.process_group import (
    World,
    device_of,
    from_environment,
    joined,
    limits_from_environment,
    local_world,
)


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    for name in Limits._fields:
        monkeypatch.delenv(f"BLOCKCASCADE_{name.upper()}", raising=False)


def announce(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_outside_a_launcher_there_is_no_world(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, WORLD_SIZE="2")
    assert from_environment() is None


def test_a_launchers_announcement(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, RANK="5", WORLD_SIZE="8", LOCAL_RANK="1")
    assert from_environment() == World(5, 8, 1, "env://")
    announce(monkeypatch, TORCHELASTIC_RESTART_COUNT="2")
    assert from_environment() == World(5, 8, 1, "env://", restarts=2)
    announce(monkeypatch, RANK="five")
    with pytest.raises(WorldError, match="RANK must be a whole number, not 'five'"):
        from_environment()


@pytest.mark.parametrize(("rank", "size"), [("8", "8"), ("-1", "8"), ("0", "0")])
def test_a_rank_beyond_its_world_is_refused(monkeypatch: pytest.MonkeyPatch, rank: str, size: str) -> None:
    announce(monkeypatch, RANK=rank, WORLD_SIZE=size)
    with pytest.raises(WorldError, match=f"RANK is {rank}, but must be 0.*WORLD_SIZE is {size}"):
        from_environment()


def test_a_world_without_a_meeting_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1")
    world = from_environment()
    assert world is not None
    with pytest.raises(WorldError, match="MASTER_PORT"), joined(world, torch.device("cpu")):
        pass


def test_nobody_at_the_meeting_place(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, RANK="1", WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT="9")
    announce(monkeypatch, BLOCKCASCADE_RENDEZVOUS_S="0.5")
    world = from_environment()
    assert world is not None
    with (
        pytest.raises(WorldError, match=r"nobody keeps a store at MASTER_ADDR:MASTER_PORT 127\.0\.0\.1:9"),
        joined(world, torch.device("cpu")),
    ):
        pass


def test_local_ranks_meet_in_a_folder() -> None:
    assert local_world(1, 2, "/somewhere") == World(1, 2, 1, "file:///somewhere/rendezvous")


def test_limits_are_set_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits_from_environment() == Limits()
    announce(monkeypatch, BLOCKCASCADE_STALL_S="2.5", BLOCKCASCADE_ACTION_S="7")
    assert limits_from_environment() == Limits(stall_s=2.5, action_s=7)


@pytest.mark.parametrize("text", ["0", "-3", "soon", "nan", "inf", ""])
def test_limits_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    announce(monkeypatch, BLOCKCASCADE_WAIT_S=text)
    with pytest.raises(WorldError, match=f"BLOCKCASCADE_WAIT_S is '{text}', but must be a number of seconds above 0"):
        limits_from_environment()


def test_devices() -> None:
    assert device_of("cpu-core", 3) == torch.device("cpu")
    beyond = torch.cuda.device_count()
    with pytest.raises(WorldError, match=f"wants a h100 for local rank {beyond}, but this machine has {beyond}"):
        device_of("h100", beyond)
