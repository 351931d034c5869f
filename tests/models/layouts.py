"""Small checkpoints in each layout that causal Wan models are published in.

The names are written out by hand here, from the checkpoints' own code, so that they check the conversion.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from models.checkpoint import wan_config
from models.spec import ModelSpec
from tests.tiny import TINY_SPEC

Table = dict[str, Tensor]

# Wan's own name -> diffusers' name, of what there is once.
TOP = {
    "patch_embedding": "patch_embedding",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "head.head": "proj_out",
}
# The same within a layer, of what has a weight and a bias.
LAYER = {
    "self_attn.q": "attn1.to_q",
    "self_attn.k": "attn1.to_k",
    "self_attn.v": "attn1.to_v",
    "self_attn.o": "attn1.to_out.0",
    "cross_attn.q": "attn2.to_q",
    "cross_attn.k": "attn2.to_k",
    "cross_attn.v": "attn2.to_v",
    "cross_attn.o": "attn2.to_out.0",
    "norm3": "norm2",
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
}
LINEARS = [name for name in LAYER if name != "norm3"]
NORMS = {
    "self_attn.norm_q.weight": "attn1.norm_q.weight",
    "self_attn.norm_k.weight": "attn1.norm_k.weight",
    "cross_attn.norm_q.weight": "attn2.norm_q.weight",
    "cross_attn.norm_k.weight": "attn2.norm_k.weight",
    "modulation": "scale_shift_table",
}


def names(layers: int) -> dict[str, str]:
    """Wan's own name -> diffusers' name, of every weight."""
    both = ("weight", "bias")
    found = {f"{wan}.{part}": f"{ours}.{part}" for wan, ours in TOP.items() for part in both}
    found["head.modulation"] = "scale_shift_table"
    for at in range(layers):
        inside = {f"{wan}.{part}": f"{ours}.{part}" for wan, ours in LAYER.items() for part in both} | NORMS
        found |= {f"blocks.{at}.{wan}": f"blocks.{at}.{ours}" for wan, ours in inside.items()}
    return found


@cache
def known(seed: int = 0, spec: ModelSpec = TINY_SPEC) -> WanTransformer3DModel:
    """A random transformer, none of whose weights is a plain number such as a norm's one."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        transformer = WanTransformer3DModel(**wan_config(spec)).eval().requires_grad_(False)
        for value in transformer.parameters():
            value.copy_(torch.randn_like(value) / 5)
    return transformer


def in_wan_names(transformer: WanTransformer3DModel) -> Table:
    """Its weights by Wan's own names."""
    state = transformer.state_dict()
    table = {wan: state[ours] for wan, ours in names(transformer.config.num_layers).items()}
    assert len(table) == len(state)
    return table


def prefixed(prefix: str, table: Table) -> Table:
    return {prefix + name: value for name, value in table.items()}


def wrapped(table: Table) -> Table:
    """As FSDP and activation checkpointing name the weights of a trained model's moving average."""
    return {_wrapped(name): value for name, value in table.items()}


def _wrapped(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "blocks":
        inner = ["_fsdp_wrapped_module", "_checkpoint_wrapped_module"]
        return ".".join(["model._fsdp_wrapped_module", *parts[:2], *inner, *parts[2:]])
    return f"model._fsdp_wrapped_module.{name}"


def forward(transformer: Any) -> Tensor:
    """What the transformer makes of some noise, a prompt and a noise level."""
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn((1, 4, 2, 4, 4), generator=generator)
    text = torch.randn((1, 3, 8), generator=generator)
    made: Tensor = transformer(latents, torch.tensor([500.0]), text, return_dict=False)[0]
    return made


def same(found: Any, wanted: WanTransformer3DModel) -> bool:
    """Whether two transformers hold the same weights and compute the same, bit for bit."""
    ours, theirs = found.state_dict(), wanted.state_dict()
    return (
        ours.keys() == theirs.keys()
        and all(torch.equal(ours[name], theirs[name]) for name in theirs)
        and torch.equal(forward(found), forward(wanted))
    )
