"""On CUDA a block is decoded without waiting for the device, and a saved state goes on as it would have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from models.codec import Codec
from models.tiny_decoder import TinyCodec, TinyDecoder, TinyShape
from models.vae import WanCodec
from tests.tiny import tiny_vae

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@contextmanager
def no_sync() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _codec(kind: str) -> Codec:
    if kind == "wan":
        return WanCodec(tiny_vae().to(torch.bfloat16)).to(torch.device("cuda"))
    net = TinyDecoder(TinyShape(latent_channels=4, widths=(16, 8, 8, 8))).to(torch.bfloat16)
    return TinyCodec(net).to(torch.device("cuda"))


@pytest.mark.parametrize("kind", ["wan", "tiny"])
def test_decoding_does_not_wait_and_resumes(kind: str) -> None:
    codec = _codec(kind)
    first, other = codec.decoder(), codec.decoder()
    blocks = torch.randn(3, 4, 2, 8, 8, device="cuda").unbind()
    first.decode(blocks[0])
    with no_sync():
        first.decode(blocks[1])
        kept = first.state()
        wanted = first.decode(blocks[2])
    other.restore({key: value.cpu() for key, value in kept.items()})
    assert torch.equal(other.decode(blocks[2]), wanted)
    assert wanted.device.type == "cuda"
