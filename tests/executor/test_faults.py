"""A rank killed, stopped or failing at each kind of action, in each place: the others end with an error that names it.

The ranks walk a small program over gloo, telling each action as it begins; `test_execute_faults` has a real plan.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from executor.errors import RankError
from executor.world.forked import on_local_ranks
from executor.world.limits import Limits
from executor.world.process_group import World, joined
from planner.action import Action, Kind
from tests.executor.processes import ends

pytestmark = pytest.mark.dist

# Each rank does every kind of action, and what it sends the other waits for.
PROGRAMS = [
    [
        *("denoise b0.s0", "send latents b0.s0 to r1", "recv kv b0.c from r1", "commit b1", "decode b1"),
        *("free kv b0.c", "send latents b1.s1 to r1", "recv latents b2.s0 from r1"),
    ],
    [
        *("recv latents b0.s0 from r0", "denoise b0.s1", "commit b0", "send kv b0.c to r0", "free kv b0.c"),
        *("decode b0", "recv latents b1.s1 from r0", "send latents b2.s0 to r0"),
    ],
]
KINDS = ("denoise", "commit", "decode", "send", "recv", "free")


def strike(fault: str) -> None:
    if fault == "exception":
        raise ValueError("out of luck")
    os.kill(os.getpid(), {"kill -9": signal.SIGKILL, "SIGSTOP": signal.SIGSTOP}[fault])


def walk(victim: int, where: str, fault: str, folder: Path) -> Callable[[World], None]:
    """A rank's main: walks its program, and does itself harm as the action begins."""

    def main(world: World) -> None:
        (folder / str(world.rank)).write_text(str(os.getpid()))
        with joined(world, torch.device("cpu")) as pulse:
            tensor = torch.zeros(4)
            for text in PROGRAMS[world.rank]:
                action = Action.parse(text)
                pulse.told(action, True)
                if (world.rank, text) == (victim, where):
                    try:
                        strike(fault)
                    except ValueError as error:
                        raise RankError(f"rank {world.rank} at {text}: {type(error).__name__}: {error}") from error
                if action.kind is Kind.RECV:
                    pulse.told(action, False)
                    dist.recv(tensor, action.peer)
                elif action.kind is Kind.SEND:
                    dist.send(tensor, action.peer)

    return main


def action_of(rank: int, kind: str) -> str:
    return next(text for text in PROGRAMS[rank] if text.startswith(kind))


@pytest.mark.parametrize(
    ("victim", "kind", "fault"),
    [
        *((victim, kind, "SIGSTOP") for victim in (0, 1) for kind in KINDS),
        *((0, "send", fault) for fault in ("kill -9", "exception")),
    ],
)
def test_a_fault_is_told_with_rank_action_and_cause(tmp_path: Path, victim: int, kind: str, fault: str) -> None:
    where = action_of(victim, kind)
    cause = {"kill -9": "killed by SIGKILL", "SIGSTOP": "no sign of life for", "exception": "ValueError: out of luck"}
    start = time.monotonic()
    with pytest.raises(RankError, match=f"^rank {victim} at {re.escape(where)}: {cause[fault]}"):
        on_local_ranks(2, walk(victim, where, fault, tmp_path), Limits(beat_s=0.1, stall_s=0.6))
    # Far from the limits of 15 s, 60 s and 300 s that would end it otherwise; a loaded machine may take its time.
    assert time.monotonic() - start < 10
    assert ends([int(file.read_text()) for file in tmp_path.iterdir()], 2)


def test_the_program_is_fine_without_a_fault(tmp_path: Path) -> None:
    assert on_local_ranks(2, walk(-1, "", "", tmp_path)) == [None, None]
    assert all({Action.parse(text).kind for text in program} == set(map(Kind, KINDS)) for program in PROGRAMS)
