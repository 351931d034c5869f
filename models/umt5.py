"""Reads the text side of a Wan diffusers folder: UMT5's encoder and its tokenizer, from local files only.

Only safetensors is read and no code of the folder is run: of its configuration nothing but the shapes is believed, and
these must be the weights' own before anything is built from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedTokenizerBase, UMT5Config, UMT5EncoderModel
from transformers.utils import logging

from models.errors import CheckpointError
from models.folder import CONFIG, read_json
from models.weights import differences, open_weights

ENCODER, TOKENIZER = "text_encoder", "tokenizer"
TABLE, WHOLE = "model.safetensors.index.json", "model.safetensors"
EXPECTED = f"; expected a Wan diffusers folder with {ENCODER}/ and {TOKENIZER}/"
# One matrix under two names; a file may hold it under either or both.
TIED = ("shared.weight", "encoder.embed_tokens.weight")
SHAPES = (
    "vocab_size",
    "d_model",
    "d_kv",
    "d_ff",
    "num_layers",
    "num_heads",
    "relative_attention_num_buckets",
    "relative_attention_max_distance",
    "layer_norm_epsilon",
    "feed_forward_proj",
)


def read_config(folder: Path) -> UMT5Config:
    """The encoder's shapes, found to be its weights'. Raises CheckpointError; reads no weight."""
    path = folder / ENCODER / CONFIG
    given = read_json(path, expected=EXPECTED)
    table = folder / ENCODER / TABLE
    found = open_weights(table if table.exists() else folder / ENCODER / WHOLE).headers
    layers = {key.split(".")[2] for key in found if key.startswith("encoder.block.")}
    if given.get("num_layers") != len(layers):
        raise CheckpointError(f"{path}: num_layers is {given.get('num_layers')!r}, the weights have {len(layers)}")
    try:
        config = UMT5Config(**{key: given[key] for key in SHAPES if key in given})
        with torch.device("meta"):
            wanted = UMT5EncoderModel(config).state_dict()
    except Exception as error:  # whatever a value of the wrong kind or size sets off in there
        raise CheckpointError(f"{path}: does not describe a UMT5 encoder ({error})") from error
    if any(key in found for key in TIED):
        wanted = {key: value for key, value in wanted.items() if key not in TIED or key in found}
    problems = differences(found, wanted)
    if problems:
        raise CheckpointError(f"{folder / ENCODER}: the weights do not fit {CONFIG}: {'; '.join(problems)}")
    return config


def load_encoder(folder: Path, config: UMT5Config, dtype: torch.dtype) -> UMT5EncoderModel:
    """The encoder with its weights on the CPU, for inference. Raises CheckpointError if a file has been damaged."""
    try:
        with _silent():
            encoder = UMT5EncoderModel.from_pretrained(
                folder / ENCODER, config=config, dtype=dtype, local_files_only=True, use_safetensors=True
            )
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{folder / ENCODER}: cannot be loaded ({error})") from error
    return encoder.eval().requires_grad_(False)


def load_tokenizer(folder: Path, config: UMT5Config) -> PreTrainedTokenizerBase:
    """The tokenizer of the encoder with that configuration. Raises CheckpointError if it is none or another's."""
    path = folder / TOKENIZER
    if not path.is_dir():
        raise CheckpointError(
            f"{path}: no such folder; expected a Wan diffusers folder with {ENCODER}/ and {TOKENIZER}/"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises bare Exception
        raise CheckpointError(f"{path}: cannot be loaded as a tokenizer ({error})") from error
    if tokenizer.pad_token_id is None:
        raise CheckpointError(f"{path}: has no padding token, so it is not UMT5's")
    if len(tokenizer) > config.vocab_size:
        raise CheckpointError(f"{path}: has {len(tokenizer)} tokens, the encoder reads {config.vocab_size}")
    tokenizer.padding_side = "right"
    return tokenizer


@contextmanager
def _silent() -> Iterator[None]:
    """Without the library's progress bar."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
