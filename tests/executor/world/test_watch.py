"""Ranks of a real torchrun, or of a launcher without a store of its own, end when one of them fails, and say why."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from executor.world import meeting, watch
from tests.executor import ring
from tests.executor.processes import ends

pytestmark = pytest.mark.dist

ROOT = Path(__file__).parents[3]
# Patience fit for a test.
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "GLOO_SOCKET_IFNAME": "lo",
    "PATH": "/usr/bin:/bin",
    "BLOCKCASCADE_BEAT_S": "0.2",
    "BLOCKCASCADE_STALL_S": "1.5",
    "BLOCKCASCADE_ACTION_S": "1.5",
    "BLOCKCASCADE_RENDEZVOUS_S": "30",
    "TORCH_FR_BUFFER_SIZE": "100",
}


def torchrun(folder: Path, victim: int, fault: str, restarts: int = 0) -> tuple[int, str]:
    """The exit code and all that two ranks said; none of them is left."""
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", f"--max-restarts={restarts}"]
    done = subprocess.run(
        [sys.executable, *words, "-m", "tests.executor.ring", str(victim), fault, str(folder)],
        cwd=folder,
        env=ENVIRONMENT,
        timeout=180,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ends([int(file.stem) for file in folder.glob("*.pid")], 5)
    return done.returncode, done.stdout


def launched(folder: Path, victim: int, fault: str, size: int = 2) -> list[tuple[int, str]]:
    """As `torchrun`, of ranks whose store rank 0 keeps: exit code and words of each. Forked, which saves imports."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    world = {**ENVIRONMENT, "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    pids = [_fork({**world, "RANK": str(rank)}, victim, fault, folder, rank) for rank in range(size)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    return [(code, (folder / f"{rank}.said").read_text()) for rank, code in enumerate(codes)]


def _fork(environment: dict[str, str], victim: int, fault: str, folder: Path, rank: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        said = os.open(folder / f"{rank}.said", os.O_WRONLY | os.O_CREAT)
        for stream in (1, 2):
            os.dup2(said, stream)
        os.environ.update(environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever a test before left: solvers do
        code = ring.main(victim, fault, folder)
    except KeyboardInterrupt:
        code = 130
    except SystemExit as end:
        code = int(str(end.code))
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    os._exit(code)


def test_a_killed_rank_is_named_and_the_world_starts_anew(tmp_path: Path) -> None:
    code, said = torchrun(tmp_path, 1, "SIGKILL", restarts=1)
    assert re.search(r"blockcascade: rank 0 at \S.* stops: rank 1 at \S.*: its process \d+ is gone", said), said
    # The store is the same one: what the dead left in it must not count.
    assert code == 0, said
    assert "rank 0 is fine" in said
    assert "rank 1 is fine" in said


def test_a_stopped_rank_is_named_and_ended(tmp_path: Path) -> None:
    code, said = torchrun(tmp_path, 1, "SIGSTOP")
    assert code != 0
    assert re.search(r"rank 0 at recv.* stops: rank 1 at denoise b5\.s0: no sign of life for \d+\.\d s", said), said
    # The summary of torchrun shows it too, from the file that ranks leave for it.
    assert "executor.errors.RankError: rank 0 stops: rank 1 at denoise b5.s0" in said


def test_no_rank_outlives_its_launcher(tmp_path: Path) -> None:
    code, said = torchrun(tmp_path, 1, "orphan")
    assert code == -signal.SIGKILL
    for rank in range(2):
        assert re.search(rf"rank {rank} at \S.* stops: rank {rank} at .* the launcher's store at \S+ is gone", said), (
            said
        )


def test_an_exception_is_told_to_the_others(tmp_path: Path) -> None:
    for code, said in launched(tmp_path, 1, "raise", size=3):
        assert code == 1
        assert "rank 1 at denoise b5.s0: ValueError: out of luck" in said


def test_what_torchs_flight_recorder_knows_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FR_DUMP_TEMP_FILE", str(tmp_path / "flight_"))
    launched(tmp_path, 1, "raise")
    for rank in range(2):
        assert b"gloo:barrier" in (tmp_path / f"flight_{rank}").read_bytes()


@pytest.mark.parametrize("fault", ["SIGKILL", "SIGSTOP", "SIGTERM", "SIGINT"])
def test_the_rank_that_keeps_the_store_may_fail_too(tmp_path: Path, fault: str) -> None:
    (code, _), *others = launched(tmp_path, 0, fault)
    assert code == {"SIGTERM": 143, "SIGINT": 130}.get(fault, -9)
    cause = {"SIGKILL": "is gone", "SIGSTOP": "is gone or stopped|no sign of life"}
    for code, said in others:
        assert code == 1
        # Its store goes with it, maybe before all have read why.
        told = cause.get(fault, rf"was told to stop \({fault}\)|is gone")
        assert re.search(rf"stops: rank 0 at \S.*({told})", said), said


def test_a_rank_killed_on_another_machine_is_known_by_its_broken_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ranks that think they are apart cannot ask after each other's processes.
    here = meeting.this_process
    monkeypatch.setattr(meeting, "this_process", lambda facts: here(facts)._replace(place=str(os.getpid())))
    monkeypatch.setattr(watch, "LOST_S", 0.8)
    monkeypatch.setitem(ENVIRONMENT, "BLOCKCASCADE_STALL_S", "30")
    (code, said), (killed, _) = launched(tmp_path, 1, "SIGKILL")
    assert (code, killed) == (1, -9)
    assert re.search(r"rank 0 at recv.* stops: rank 1 at denoise b5\.s0: no sign of life for \d+\.\d s", said), said


def test_ranks_that_disagree_do_not_start(tmp_path: Path) -> None:
    for code, said in launched(tmp_path, 2, "disagree", size=3):
        assert code == 1
        assert re.search(r"^rank \d raises WorldError: the ranks disagree: rank 2 has seed 4, not 3;", said, re.M), said


def test_without_a_fault_all_leave_in_peace(tmp_path: Path) -> None:
    assert launched(tmp_path, -1, "", size=3) == [(0, f"rank {rank} is fine\n") for rank in range(3)]
