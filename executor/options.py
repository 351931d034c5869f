"""`RunOptions`: how ranks compute and send, where that changes speed and rounding but not what is computed."""

from __future__ import annotations

from typing import Literal

import torch

from executor.errors import WorldError
from models.attention import NATIVE, backend_named
from models.errors import ModelError
from models.loaded import LoadedModel
from planner.problem import Problem
from planner.value import Value

CompileMode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]


class RunOptions(Value):
    """With the defaults, and `fused` off, a run equals `generate()` bit for bit in float32 on the CPU.

    `compile`: torch.compile for what a layer does besides self-attention (`CausalWan.compile`), in torch's
    `compile_mode`. `attention`: one of diffusers' backends. `kv_transfer`: None sends K/V as the problem says; "fp8"
    packs it all the same, "full" never. `fused`: passes of one batch go through a layer's products together; None
    is on CUDA only, where that is what a batch is for.
    """

    compile: bool = False
    compile_mode: CompileMode = "default"
    attention: str = NATIVE
    kv_transfer: Literal["full", "fp8"] | None = None
    fused: bool | None = None

    def check(self) -> None:
        """Finds what the options need without touching a device; worth calling before ranks start.

        Raises WorldError for a mode without compiling or an attention backend that is not installed.
        """
        if self.compile_mode != "default" and not self.compile:
            raise WorldError(f"compile mode {self.compile_mode!r} without compiling: add --compile")
        try:
            backend_named(self.attention)
        except ModelError as error:
            raise WorldError(str(error)) from None

    def packs(self, problem: Problem) -> bool:
        """Whether K/V is packed for its way between ranks."""
        return (self.kv_transfer or problem.kv_transfer) == "fp8"

    def fuses(self, device: torch.device) -> bool:
        """Whether passes of one batch run as one on a device."""
        return device.type == "cuda" if self.fused is None else self.fused

    def apply(self, model: LoadedModel) -> None:
        """Readies a model that is on its rank's device; compiling itself happens in the first passes, the warm-up.

        Raises WorldError if the attention backend does not run on that device, or with the model's type and heads.
        """
        try:
            if self.attention != model.wan.attention.value:
                model.wan.use_attention(self.attention)
        except ModelError as error:
            raise WorldError(str(error)) from None
        if self.compile:
            model.wan.compile(mode=self.compile_mode)
