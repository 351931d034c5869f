"""`CausalWan`: diffusers' `WanTransformer3DModel` with what running it block by block needs; `Forward` runs it.

Shape suffixes: L text tokens, K numbers of a text embedding, D = heads x head_dim, H heads, E head dim.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from models.attention import NATIVE, backend_named, require_attention
from models.device import to_device
from models.layer import TextView, absorb, modulations, project, split_heads, time_embedding
from models.spec import ModelSpec

# Compiled forms of a layer's parts at most: batches of 1 to 8 passes, with one prompt or several, and first blocks.
FORMS = 32
GRAPHS = ("reduce-overhead", "max-autotune")  # torch.compile's modes with CUDA graphs


class CausalWan(nn.Module):
    """A Wan transformer that denoises blocks one at a time, or several at once, reading K/V from slots.

    `attention` names one of diffusers' attention backends (`models.attention`). Raises ModelError if it is not there.
    """

    def __init__(self, transformer: WanTransformer3DModel, spec: ModelSpec, attention: str = NATIVE) -> None:
        super().__init__()
        self.transformer = transformer
        self.spec = spec
        self.attention = backend_named(attention)
        self.project: Callable[..., tuple[Tensor, Tensor, Tensor]] = project
        self.absorb: Callable[..., Tensor] = absorb
        self._graphs = False
        self._times: dict[tuple[float, torch.device], tuple[Tensor, Tensor]] = {}
        self._modulations: dict[tuple[float, range, torch.device], Tensor] = {}

    @property
    def device(self) -> torch.device:
        return self.transformer.proj_out.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.transformer.proj_out.weight.dtype

    @torch.no_grad()
    def encode_text(self, embeds_LK: Tensor) -> tuple[TextView, ...]:
        """Cross-attention K/V of a prompt, one per layer, from its text embeddings [L, text_dim].

        Of a layer whose weights are not held here (on the meta device) it has a shape and no numbers.
        """
        text_1LD = self.transformer.condition_embedder.text_embedder(
            to_device(embeds_LK[None].to(self.dtype), self.device)
        )
        views = []
        for layer in self.transformer.blocks:
            attn = layer.attn2
            here_1LD = text_1LD.to(attn.to_k.weight.device)
            key = split_heads(attn, attn.norm_k(attn.to_k(here_1LD)))[0]
            views.append(TextView(key, split_heads(attn, attn.to_v(here_1LD))[0]))
        return tuple(views)

    def times(self, timestep: float) -> tuple[Tensor, Tensor]:
        """Time embedding [1, D] and modulation [1, 6, D] of a timestep; kept, as a stream has only a few."""
        return self._time(timestep)

    @torch.no_grad()
    def _time(self, timestep: float) -> tuple[Tensor, Tensor]:
        key = timestep, self.device
        if key not in self._times:
            self._times[key] = time_embedding(self.transformer, to_device(torch.tensor([timestep]), self.device))
        return self._times[key]

    @torch.no_grad()
    def modulations(self, timestep: float, layers: range) -> Tensor:
        """What a timestep does to some layers, [layers, 1, 6, D] (`models.layer.modulations`); kept likewise."""
        key = timestep, layers, self.device
        if key not in self._modulations:
            chosen = [self.transformer.blocks[layer] for layer in layers]
            self._modulations[key] = modulations(chosen, self._time(timestep)[1])
        return self._modulations[key]

    def use_attention(self, name: str) -> None:
        """From now on attends with another backend, tried once where the weights are.

        Raises ModelError if it is not installed, or does not run on this device, in this type or with this head dim.
        """
        backend = backend_named(name)
        require_attention(backend, self.spec.heads, self.spec.head_dim, self.transformer.proj_out.weight)
        self.attention = backend

    def compile(self, **options: Any) -> None:
        """Compiles what a layer does before and after its attention, with torch.compile's options.

        All layers share one compiled form of each, as their weights are its inputs; it is made anew for each shape that
        a batch takes: one for each number of passes that run as one batch, and one for a first block of its own size.
        So 30 or 40 layers count once against torch's limit on such forms, which is raised here besides. Compiled code
        rounds otherwise than eager code: float32 results differ in the last digits, and none equals the reference bit
        for bit.

        `mode="reduce-overhead"` replays CUDA graphs. Each layer's two parts are captured apart, since attention runs
        between them, and a layer's tokens must outlive the next part: call `begin_pass` before each pass. Only compiled
        code on the CPU, where there are no CUDA graphs, has been run; memory and gain on a GPU are not known.
        """
        given = {"dynamic": False, **_forms(), **options}
        self.project = torch.compile(project, **given)
        self.absorb = torch.compile(absorb, **given)
        self._graphs = given.get("mode") in GRAPHS

    def begin_pass(self) -> None:
        """Tells CUDA graphs, if there are any, that results of passes before may be overwritten."""
        if self._graphs:
            torch.compiler.cudagraph_mark_step_begin()


def _forms() -> dict[str, Any]:
    """How torch.compile is told that a part may have many forms; releases before 2.13 have one limit for all code."""
    if "recompile_limit" in inspect.signature(torch.compile).parameters:
        return {"recompile_limit": FORMS, "isolate_recompiles": True}
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, FORMS)
    return {}
