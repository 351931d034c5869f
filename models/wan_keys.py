"""Names of a Wan transformer's weights in published checkpoints, and diffusers' names for them.

Layouts, by the code that writes or reads them:
- Self-Forcing, Causal-Forcing, RollingForcing: tables `generator`, `generator_ema`, `critic` of names like
  `model.blocks.0..`; FSDP and activation checkpointing leave `_fsdp_wrapped_module` and kin inside the averaged ones
  (guandeh17/Self-Forcing inference.py, utils/distributed.py EMA_FSDP; thu-ml/Causal-Forcing inference.py;
  TencentARC/RollingForcing inference.py).
- CausVid, StreamDiffusionV2: a folder with `model.pt`, table `generator` (tianweiy/CausVid minimal_inference;
  chenfengxu714/StreamDiffusionV2 streamv2v/inference_common.py, which also takes `state_dict` and bare names).
- LongLive: tables `generator`, `generator_ema` or `model` (NVlabs/LongLive utils/nvfp4_checkpoint.py).
- Krea 14B: one safetensors file of names `model.blocks.0..` (krea-ai/realtime-video release_server.py).
- Wan itself: bare names; single-file collections put `model.diffusion_model.` before them.
- diffusers: its own names, in one file or shards.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

from models.errors import CheckpointError

AVERAGED, TRAINED = "generator_ema", "generator"
MODELS = (AVERAGED, TRAINED, "critic")  # tables of whole models that a file may hold side by side
PREFIXES = ("model", "diffusion_model", "state_dict")
WRAPPERS = ("_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_orig_mod", "module")
# Heads of adversarial training, of no use afterwards.
DISCRIMINATOR = ("_cls_pred_branch", "_register_tokens", "_gan_ca_blocks")
IMAGE = ("img_emb", "k_img", "v_img", "norm_k_img", "image_embedder", "add_k_proj", "add_v_proj", "norm_added_k")
WAN_TOP = ("patch_embedding", "text_embedding", "time_embedding", "time_projection", "blocks", "head")


def wan_names(stored: Iterable[str], place: Path, *, ema: bool = True) -> dict[str, str]:
    """The name under which each weight is stored, by diffusers' name for it.

    Of several models in a file the generator is taken: its moving average if there is one and `ema`, else as trained.
    Discriminator heads are dropped. Raises CheckpointError if the file holds no generator, an image-to-video one, or
    two weights by one name.
    """
    models: dict[str, dict[str, str]] = {}
    for name in stored:
        model, bare = bare_name(name)
        if any(part in DISCRIMINATOR for part in bare.split(".")):
            continue
        if bare in models.setdefault(model, {}):
            raise CheckpointError(f"{place}: holds {bare} twice, as {models[model][bare]} and {name}; keep one")
        models[model][bare] = name
    found = _generator(models, place, ema)
    image = [name for bare, name in found.items() if any(part in IMAGE for part in bare.split("."))]
    if image:
        raise CheckpointError(
            f"{place}: of an image-to-video model ({len(image)} weights such as {image[0]}); "
            "only text-to-video models are run: take that one"
        )
    return _by_diffusers_name(found, place)


def bare_name(stored: str) -> tuple[str, str]:
    """The model that a stored name belongs to ('' if it says none), and the name without prefixes and wrappers."""
    parts = [part for part in stored.split(".") if part not in WRAPPERS]
    model, at = "", 0
    while at < len(parts) and parts[at] in (*MODELS, *PREFIXES):
        if parts[at] in MODELS:
            model = model or parts[at]
        at += 1
    return model, ".".join(parts[at:])


def diffusers_name(bare: str) -> str:
    """diffusers' name for one of Wan's own code, by diffusers' own conversion; any other stays as it is."""
    if bare.split(".")[0] not in WAN_TOP:
        return bare
    (name,) = convert_wan_transformer_to_diffusers({bare: None})
    return str(name)


def _generator(models: dict[str, dict[str, str]], place: Path, ema: bool) -> dict[str, str]:
    order = (AVERAGED, TRAINED, "") if ema else (TRAINED, "")
    for model in order:
        if model in models:
            return models[model]
    found = f"only {', '.join(models)}" if models else "nothing"
    fix = "; ask for the averaged weights (ema)" if AVERAGED in models else "; it has no generator to run"
    raise CheckpointError(f"{place}: holds {found}{fix}")


def _by_diffusers_name(found: dict[str, str], place: Path) -> dict[str, str]:
    if not any(".self_attn." in bare for bare in found):
        return found
    renamed: dict[str, str] = {}
    for bare, name in found.items():
        new = diffusers_name(bare)
        if new in renamed:
            raise CheckpointError(f"{place}: holds {new} twice, as {renamed[new]} and {name}; keep one")
        renamed[new] = name
    return renamed
