"""Who this process is among the ranks, read from torchrun's announcement and from nothing else."""

from __future__ import annotations

import pytest
import torch

from executor.errors import WorldError
from executor.process_group import World, device_of, from_environment, local_world


def test_outside_torchrun_there_is_no_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert from_environment() is None


def test_torchruns_announcement(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert from_environment() == World(5, 8, 1, "env://")
    monkeypatch.setenv("RANK", "five")
    with pytest.raises(WorldError, match="RANK"):
        from_environment()


def test_local_ranks_meet_in_a_folder() -> None:
    assert local_world(1, 2, "/somewhere") == World(1, 2, 1, "file:///somewhere/rendezvous")


def test_devices() -> None:
    assert device_of("cpu-core", 3) == torch.device("cpu")
    beyond = torch.cuda.device_count()
    with pytest.raises(WorldError, match=f"wants a h100 for local rank {beyond}, but this machine has {beyond}"):
        device_of("h100", beyond)
