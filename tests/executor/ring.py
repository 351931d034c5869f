"""What the ranks of a launcher run in the tests of faults: `python -m tests.executor.ring VICTIM FAULT FOLDER`.

Ranks tell passes and wait for one another after each. At its sixth, the victim does itself harm, once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from executor.errors import RankError
from executor.world.process_group import World, from_environment, joined
from models.errors import BlockcascadeError


def main(victim: int, fault: str, folder: Path) -> int:
    """The exit code; standard error says what was raised."""
    torch.set_num_threads(1)
    (folder / f"{os.getpid()}.pid").touch()
    world = from_environment()
    assert world is not None
    try:
        for _ in range(2):
            _work(world, victim, fault)
    except BlockcascadeError as error:
        os.write(2, f"rank {world.rank} raises {type(error).__name__}: {error}\n".encode())
        return 1
    os.write(1, f"rank {world.rank} is fine\n".encode())
    return 0


def _work(world: World, victim: int, fault: str) -> None:
    seed = "4" if fault == "disagree" and world.rank == victim else "3"
    with joined(world, torch.device("cpu"), lambda: {"seed": seed}) as pulse:
        for block in range(8):
            pulse.told(f"denoise b{block}.s0", True)
            time.sleep(0.05)
            if world.rank == victim and block == 5 and world.restarts == 0:
                _strike(world.rank, fault)
            pulse.told(f"recv latents b{block}.s0 from r{1 - world.rank}", False)
            dist.barrier()


def _strike(rank: int, fault: str) -> None:
    if fault.startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[fault])
        time.sleep(60)
    elif fault == "orphan":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    elif fault == "raise":
        raise RankError(f"rank {rank} at denoise b5.s0: ValueError: out of luck")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
