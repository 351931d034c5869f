"""The optimiser loop both toy models share: warm-up, cosine decay, averaged weights, checkpoints to go on from."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

WARM_UP = 200
CHECKPOINT_EVERY_S = 120
LOG_EVERY = 100


class Trainer:
    """Descends one module's loss; every batch is drawn from its step number, so a resumed run sees the same data."""

    def __init__(
        self, module: nn.Module, checkpoint: Path, steps: int, peak_rate: float, *, average: float = 0.0
    ) -> None:
        self._module = module
        self._checkpoint = checkpoint
        self._steps = steps
        self._peak_rate = peak_rate
        self._average = average
        self._averaged = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self._optimizer = torch.optim.AdamW(module.parameters(), lr=peak_rate, weight_decay=0.01, betas=(0.9, 0.98))
        self._step = 0
        self._losses: list[float] = []

    def remaining(self) -> Iterator[int]:
        """The steps still to take; the module ends with its averaged weights."""
        self._resume()
        started = saved = time.monotonic()
        while self._step < self._steps:
            yield self._step
            self._step += 1
            if self._step % LOG_EVERY == 0:
                mean = sum(self._losses) / len(self._losses)
                elapsed = time.monotonic() - started
                print(
                    f"{self._checkpoint.stem} step {self._step}/{self._steps} loss {mean:.5f} {elapsed:.0f} s",
                    flush=True,
                )
                self._losses.clear()
            if time.monotonic() - saved > CHECKPOINT_EVERY_S:
                self._save()
                saved = time.monotonic()
        self._save()
        self._module.load_state_dict(self._averaged)

    def descend(self, loss: Tensor) -> None:
        """One optimiser step on a scalar loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate()
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._module.parameters(), 1.0)
        self._optimizer.step()
        self._losses.append(loss.item())
        keep = min(self._average, self._step / (self._step + 10))
        for name, value in self._module.state_dict().items():
            self._averaged[name].lerp_(value, 1 - keep)

    def _rate(self) -> float:
        decay = 0.5 * (1 + math.cos(math.pi * self._step / self._steps))
        return self._peak_rate * min(1.0, (self._step + 1) / WARM_UP) * (0.02 + 0.98 * decay)

    def _save(self) -> None:
        partial = self._checkpoint.with_suffix(".part")
        torch.save(
            {
                "step": self._step,
                "module": self._module.state_dict(),
                "averaged": self._averaged,
                "optimizer": self._optimizer.state_dict(),
            },
            partial,
        )
        partial.replace(self._checkpoint)

    def _resume(self) -> None:
        if not self._checkpoint.exists():
            return
        state = torch.load(self._checkpoint, weights_only=True)
        self._module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._averaged = state["averaged"]
        self._step = state["step"]
