"""A training run that was interrupted ends where one that was not does, to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.toy import training
from models.toy.training import LOG_EVERY, WARM_UP, Trainer

STEPS = 12


@pytest.fixture(autouse=True)
def _save_after_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of every two minutes."""
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", -1)


def _module() -> nn.Linear:
    module = nn.Linear(3, 2)
    with torch.no_grad():
        module.weight.copy_(torch.arange(6.0).view(2, 3) / 10)
        module.bias.zero_()
    return module


def _loss(module: nn.Module, step: int) -> Tensor:
    """Distance from doubling, on inputs drawn from the step's number."""
    inputs = torch.randn((4, 3), generator=torch.Generator().manual_seed(step))
    error: Tensor = (module(inputs) - 2 * inputs[:, :2]).square().mean()
    return error


def _run(folder: Path, *, until: int | None = None, average: float = 0.9, steps: int = STEPS) -> nn.Linear:
    """A run to its end, or stopped when step `until` is asked for."""
    module = _module()
    trainer = Trainer(module, folder / "linear.ckpt", steps, 0.5, average=average)
    for step in trainer.remaining():
        if step == until:
            break
        trainer.descend(_loss(module, step))
    return module


def _equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("stops", [(5,), (1,), (STEPS - 1,), (3, 4, 9)], ids=str)
def test_an_interrupted_run_ends_where_a_whole_one_does(tmp_path: Path, stops: tuple[int, ...]) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    whole = _run(tmp_path / "whole")
    for stop in stops:
        _run(tmp_path / "broken", until=stop)
    assert _equal(_run(tmp_path / "broken"), whole)


def test_work_after_the_last_checkpoint_is_done_again(tmp_path: Path) -> None:
    """Stopped between the descent and the checkpoint, as a killed process is."""
    (tmp_path / "whole").mkdir()
    module = _module()
    trainer = Trainer(module, tmp_path / "linear.ckpt", STEPS, 0.5, average=0.9)
    for step in trainer.remaining():
        trainer.descend(_loss(module, step))
        if step == 6:
            break
    assert _equal(_run(tmp_path), _run(tmp_path / "whole"))


def test_every_step_is_taken_once_and_in_order(tmp_path: Path) -> None:
    def steps(until: int) -> list[int]:
        module, taken = _module(), []
        trainer = Trainer(module, tmp_path / "linear.ckpt", STEPS, 0.5)
        for step in trainer.remaining():
            if step == until:
                break
            taken.append(step)
            trainer.descend(_loss(module, step))
        return taken

    assert steps(7) == [0, 1, 2, 3, 4, 5, 6]
    assert steps(STEPS) == [7, 8, 9, 10, 11]
    assert steps(STEPS) == []


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    whole = _run(tmp_path)
    assert _equal(_run(tmp_path, until=0), whole)
    assert [path.name for path in tmp_path.iterdir()] == ["linear.ckpt"]


def test_a_finished_run_leaves_a_checkpoint_however_short_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", 1e9)
    whole = _run(tmp_path)
    assert _equal(_run(tmp_path, until=0), whole)


def test_checkpoints_are_not_written_more_often_than_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", 1e9)
    _run(tmp_path, until=5)
    assert list(tmp_path.iterdir()) == []


def test_it_learns(tmp_path: Path) -> None:
    before = _loss(_module(), 1000).item()
    after = _loss(_run(tmp_path, steps=90, average=0.5), 1000).item()
    assert after < 0.2 * before


def test_the_module_ends_with_its_averaged_weights(tmp_path: Path) -> None:
    """Step k keeps at most k / (k + 10) of the average: after the third step (w0/11 + 10/11 w1)/6 + 5/6 w2."""
    module, seen = _module(), []
    trainer = Trainer(module, tmp_path / "linear.ckpt", 3, 0.5, average=0.9)
    for step in trainer.remaining():
        trainer.descend(_loss(module, step))
        seen.append(module.weight.detach().clone())
    wanted = (seen[0] / 11 + 10 / 11 * seen[1]) / 6 + 5 / 6 * seen[2]
    torch.testing.assert_close(module.weight.detach(), wanted)
    assert (wanted - seen[2]).abs().max() > 1e-4


def test_without_averaging_the_module_ends_with_its_last_weights(tmp_path: Path) -> None:
    module, last = _module(), torch.empty(0)
    trainer = Trainer(module, tmp_path / "linear.ckpt", 3, 0.5)
    for step in trainer.remaining():
        trainer.descend(_loss(module, step))
        last = module.weight.detach().clone()
    torch.testing.assert_close(module.weight.detach(), last)


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (0, 1 / 200),  # warm-up
        (99, 0.5 * (0.02 + 0.98 * 0.5 * (1 + 0.952023))),  # half warm; cos(99 pi / 1000)
        (200, 0.02 + 0.98 * 0.5 * (1 + 0.809017)),  # cos(pi / 5)
        (500, 0.51),
        (1000, 0.02),
    ],
)
def test_rate_by_hand(tmp_path: Path, step: int, share: float) -> None:
    trainer = Trainer(_module(), tmp_path / "linear.ckpt", 1000, 3e-3)
    trainer._step = step
    assert trainer._rate() == pytest.approx(3e-3 * share, rel=1e-5)


def test_the_optimiser_runs_at_the_rate(tmp_path: Path) -> None:
    """AdamW's first step moves each weight by the rate, and by its decay, whatever the gradient."""
    module = _module()
    before = module.weight.detach().clone()
    trainer = Trainer(module, tmp_path / "linear.ckpt", 1, 0.5)
    for step in trainer.remaining():
        trainer.descend(_loss(module, step))
    rate = 0.5 / WARM_UP
    moved = (module.weight.detach() - before * (1 - 0.01 * rate)).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, rate), rtol=1e-3, atol=0)


def test_it_says_how_it_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run(tmp_path, steps=2 * LOG_EVERY + 1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" loss ")[0] for line in lines] == ["linear step 100/201", "linear step 200/201"]
    first, second = (float(line.split(" loss ")[1].split()[0]) for line in lines)
    assert second < first
