"""A Wan diffusers folder's text side, small: random UMT5 weights in shards and a tokenizer of a dozen words."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

WORDS = ("a", "red", "green", "cat", "dog", "runs", "in", "the", "park", "over", "&", "moon")
VOCABULARY = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {word: index + 3 for index, word in enumerate(WORDS)}


def encoder(**changes: object) -> UMT5EncoderModel:
    """The same random weights every time: two layers of width 8, which is the tiny spec's text_dim."""
    shapes = dict(vocab_size=16, d_model=8, d_kv=4, d_ff=12, num_layers=2, num_heads=2) | changes
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return UMT5EncoderModel(UMT5Config(**shapes)).eval().requires_grad_(False)


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, and the end of the sentence."""
    words = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def write_text_side(folder: Path, shard: str = "2KB") -> Path:
    """The folder, with both parts in it."""
    tokenizer().save_pretrained(folder / "tokenizer")
    encoder().save_pretrained(folder / "text_encoder", max_shard_size=shard)
    return folder
