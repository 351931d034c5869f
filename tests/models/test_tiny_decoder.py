"""The tiny decoder computes what the published layout says, streams it, and refuses files of another layout.

Shape suffixes: C channels, T latent frames, N frames at a layer's own rate, c channels, y, x positions.
"""

from __future__ import annotations

import pickle
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from models.catalog import load_spec
from models.codec import Codec
from models.errors import CheckpointError, ModelError, SpecError
from models.spec import ModelSpec
from models.tiny_decoder import TinyCodec, TinyDecoder, TinyShape, load_tiny_decoder
from models.vae_spec import WAN_2_1
from tests.models.variants import variant

WAN = variant(latent_channels=16, vae=WAN_2_1, vae_stride=(4, 8, 8))
WAN_5B = variant(
    latent_channels=48,
    vae=WAN_2_1.model_copy(update={"latent_channels": 48, "pixel_patch": 2}),
    vae_stride=(4, 16, 16),
)
SMALL = TinyShape(latent_channels=4, widths=(16, 8, 6, 4))


@cache
def _net(shape: TinyShape = SMALL) -> TinyDecoder:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        net = TinyDecoder(shape)
    # Fresh weights would shrink what passes until all frames look alike.
    for name, weight in net.named_parameters():
        weight.data.mul_(2.0 if weight.ndim == 4 else 1.0)
        if name == "decoder.22.bias":
            weight.data.add_(0.5)
    return net


@cache
def _latents(frames: int = 6, channels: int = 4) -> Tensor:
    return 2 * torch.randn((channels, frames, 4, 6), generator=torch.Generator().manual_seed(0))


def _whole(weights: dict[str, Tensor], latents_CThw: Tensor, grow: tuple[int, ...], patch: int) -> Tensor:
    """The published order of layers on the whole clip at once, from the keys alone; uint8 [F, H, W, 3]."""

    def conv(x: Tensor, key: str) -> Tensor:
        return F.conv2d(
            x, weights[f"{key}.weight"], weights.get(f"{key}.bias"), padding=weights[f"{key}.weight"].shape[-1] // 2
        )

    def memory(x_Ncyx: Tensor, key: str) -> Tensor:
        past = F.pad(x_Ncyx, (0, 0, 0, 0, 0, 0, 1, 0))[:-1]
        hidden = conv(torch.cat([x_Ncyx, past], 1), f"{key}.conv.0").relu()
        return (conv(conv(hidden, f"{key}.conv.2").relu(), f"{key}.conv.4") + x_Ncyx).relu()

    x = conv(3 * torch.tanh(latents_CThw.transpose(0, 1) / 3), "decoder.1").relu()
    for level, frames in enumerate(grow):
        for index in range(3):
            x = memory(x, f"decoder.{3 + 6 * level + index}")
        x = conv(x.repeat_interleave(2, -1).repeat_interleave(2, -2), f"decoder.{7 + 6 * level}.conv")
        x = torch.cat([part for frame in x for part in frame.chunk(frames)]).view(
            -1, x.shape[1] // frames, *x.shape[2:]
        )
        x = conv(x, f"decoder.{8 + 6 * level}")
    pixels = F.pixel_shuffle(conv(x.relu(), "decoder.22"), patch)[int(torch.tensor(grow).prod()) - 1 :]
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def _decode(codec: Codec, blocks: list[Tensor]) -> Tensor:
    decoder = codec.decoder()
    return torch.cat([decoder.decode(block) for block in blocks])


# -- what it computes ----------------------------------------------------------------------------


@pytest.mark.parametrize("patch", [1, 2])
def test_it_computes_what_the_layout_says(patch: int) -> None:
    shape = SMALL._replace(patch=patch)
    found = _decode(TinyCodec(_net(shape)), [_latents()])
    assert found.shape == (4 * 6 - 3, 32 * patch, 48 * patch, 3)
    assert found.float().std() > 20
    wanted = _whole(_net(shape).state_dict(), _latents(), shape.grow, patch)
    assert (found.int() - wanted.int()).abs().max() <= 1
    assert (found == wanted).float().mean() > 0.999


@given(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4))
@settings(max_examples=20)
def test_blocks_join_into_the_clip(sizes: list[int]) -> None:
    latents = _latents(sum(sizes))
    wanted = _decode(TinyCodec(_net()), [latents])
    assert torch.equal(_decode(TinyCodec(_net()), list(latents.split(sizes, dim=1))), wanted)
    at_once = _decode(TinyCodec(_net(), frames_at_once=None), list(latents.split(sizes, dim=1)))
    assert (at_once.int() - wanted.int()).abs().max() <= 1


def test_frames_are_the_specs() -> None:
    net = TinyDecoder(TinyShape.of(WAN)._replace(widths=(4, 4, 4, 4)))
    decoder = TinyCodec(net).decoder()
    counts = [len(decoder.decode(_latents(2, 16))) for _ in range(3)]
    assert counts == [WAN.pixel_frames(block) for block in range(3)] == [5, 8, 8]


def test_a_stream_remembers_what_came_before() -> None:
    blocks = list(_latents().split(3, dim=1))
    later = TinyCodec(_net()).decoder()
    later.decode(blocks[0].flip(1))
    found = later.decode(blocks[1])
    assert (found.int() - _decode(TinyCodec(_net()), blocks)[9:].int()).abs().max() > 3


def test_a_state_is_all_that_the_next_block_depends_on() -> None:
    blocks = list(_latents().split(2, dim=1))
    first, other = TinyCodec(_net()).decoder(), TinyCodec(_net()).decoder()
    assert first.state() == {}
    first.decode(blocks[0])
    other.decode(blocks[2])
    kept = first.state()
    assert sorted(kept, key=int) == ["3", "4", "5", "9", "10", "11", "15", "16", "17"]
    other.restore({key: value.clone() for key, value in kept.items()})
    for block in blocks[1:]:
        assert torch.equal(other.decode(block), first.decode(block))
    other.restore({})
    assert torch.equal(other.decode(blocks[0]), TinyCodec(_net()).decoder().decode(blocks[0]))
    first.reset()
    assert first.state() == {}


def test_a_state_of_another_codec_is_refused() -> None:
    decoder = TinyCodec(_net()).decoder()
    decoder.decode(_latents()[:, :1])
    kept = decoder.state()
    with pytest.raises(ModelError, match="'6' is not of this codec"):
        decoder.restore(kept | {"6": torch.zeros(1)})
    with pytest.raises(ModelError, match=r"computes in torch\.float32"):
        decoder.restore({key: value.double() for key, value in kept.items()})
    with pytest.raises(ModelError, match="state lacks entries 9 of 3, 4"):
        decoder.restore({key: value for key, value in kept.items() if key != "9"})
    for wrong in (kept["9"][:, 1:], kept["9"][..., 1:], kept["9"].flatten()):
        with pytest.raises(ModelError, match=r"state entry '9' is \[.*, not \["):
            decoder.restore(kept | {"9": wrong})
    # Other frames' state, each entry of which may well be right.
    smaller = TinyCodec(_net()).decoder()
    smaller.decode(_latents()[:, :1, :2])
    decoder.restore(dict(sorted(smaller.state().items())))
    with pytest.raises(ModelError, match="the stream so far is 2x"):
        decoder.decode(_latents()[:, 1:2])


def test_there_is_no_encoder() -> None:
    with pytest.raises(ModelError, match="no encoder"):
        TinyCodec(_net()).encoder()


def test_a_codec_moves_to_a_device() -> None:
    codec = TinyCodec(TinyDecoder(SMALL))
    assert codec.device.type == "cpu"
    assert codec.to(torch.device("meta")) is codec
    assert codec.device.type == "meta"


# -- files ---------------------------------------------------------------------------------------


@cache
def _published() -> dict[str, Tensor]:
    """Random weights of Wan 2.1's tiny decoder, and a key of the encoder that the files hold too."""
    return _net(TinyShape()).state_dict() | {"encoder.0.weight": torch.zeros(64, 3, 3, 3)}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_loads(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"taew2_1{suffix}"
    save = save_file if suffix == ".safetensors" else torch.save
    save({key: value.half() for key, value in _published().items()}, path)
    codec = load_tiny_decoder(path, WAN)
    found = codec.net.state_dict()
    assert {key: value.dtype for key, value in found.items()} == dict.fromkeys(found, torch.float32)
    assert all(torch.equal(value, _published()[key].half().float()) for key, value in found.items())
    assert not any(weight.requires_grad for weight in codec.net.parameters())
    assert _decode(codec, [_latents(2, 16)]).shape == (5, 32, 48, 3)


def test_weights_take_the_asked_type(tmp_path: Path) -> None:
    torch.save(_published(), tmp_path / "x.pth")
    codec = load_tiny_decoder(tmp_path / "x.pth", WAN, torch.bfloat16)
    found, wanted = (_decode(c, [_latents(2, 16)]) for c in (codec, TinyCodec(_net(TinyShape()))))
    assert found.dtype == torch.uint8
    assert 0 < (found.float() - wanted.float()).abs().mean() < 4


@pytest.mark.parametrize(("spec", "last"), [(load_spec("self-forcing-1.3b"), 3), (WAN_5B, 12)], ids=["2.1", "2.2 5B"])
def test_the_layout_is_the_published_one(spec: ModelSpec, last: int) -> None:
    """Keys and shapes of `taew2_1.pth` and `taew2_2.pth`."""
    with torch.device("meta"):
        weights = TinyDecoder(TinyShape.of(spec)).state_dict()
    shapes = {key: tuple(value.shape) for key, value in weights.items()}
    assert len(shapes) == 2 + 9 * 6 + 3 + 3 + 2
    assert shapes["decoder.1.weight"] == (256, spec.latent_channels, 3, 3)
    assert shapes["decoder.5.conv.0.weight"] == (256, 512, 3, 3)
    assert shapes["decoder.7.conv.weight"] == (256, 256, 1, 1)
    assert shapes["decoder.8.weight"] == (128, 256, 3, 3)
    assert "decoder.8.bias" not in shapes
    assert shapes["decoder.13.conv.weight"] == (256, 128, 1, 1)
    assert shapes["decoder.17.conv.4.bias"] == (64,)
    assert shapes["decoder.19.conv.weight"] == (128, 64, 1, 1)
    assert shapes["decoder.22.weight"] == (last, 64, 3, 3)


def _refusal(path: Path, spec: ModelSpec = WAN) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_tiny_decoder(path, spec)
    assert path.name in str(caught.value)
    return str(caught.value)


def test_keys_that_do_not_fit_are_named(tmp_path: Path) -> None:
    weights = dict(_published())
    del weights["decoder.1.bias"]
    weights |= {"decoder.7.conv.weight": torch.zeros(512, 256, 1, 1), "decoder.21.weight": torch.zeros(1)}
    save_file(weights, tmp_path / "x.safetensors")
    message = _refusal(tmp_path / "x.safetensors")
    assert "1 missing: decoder.1.bias" in message
    assert "1 unexpected: decoder.21.weight" in message
    assert "1 misshapen: decoder.7.conv.weight [512, 256, 1, 1] instead of [256, 256, 1, 1]" in message


def test_a_decoder_for_other_latents_is_refused(tmp_path: Path) -> None:
    torch.save(_published(), tmp_path / "taew2_1.pth")
    assert "misshapen: decoder.1.weight" in _refusal(tmp_path / "taew2_1.pth", WAN_5B)
    with pytest.raises(SpecError, match="no tiny decoder for stride"):
        load_tiny_decoder(tmp_path / "taew2_1.pth", variant())


class _Evil:
    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return Path.touch, (self.proof,)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    torch.save({"decoder.1.weight": _Evil(tmp_path / "proof")}, tmp_path / "x.pth")
    (tmp_path / "y.pth").write_bytes(pickle.dumps(_Evil(tmp_path / "proof")))
    for name in ("x.pth", "y.pth"):
        _refusal(tmp_path / name)
    assert not (tmp_path / "proof").exists()


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    torch.save({"decoder.1.weight": torch.zeros(50)}, tmp_path / "x.pth")
    whole = (tmp_path / "x.pth").read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.pth").write_bytes(whole[:cut])
        _refusal(tmp_path / "cut.pth")
    _refusal(tmp_path / "none.pth")
    (tmp_path / "x.safetensors").write_bytes(whole)
    _refusal(tmp_path / "x.safetensors")


def test_a_packed_file_that_would_grow_is_refused(tmp_path: Path) -> None:
    torch.save({"decoder.1.weight": torch.zeros(10**5)}, tmp_path / "x.pth")
    with (
        zipfile.ZipFile(tmp_path / "x.pth") as whole,
        zipfile.ZipFile(tmp_path / "y.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in whole.namelist():
            packed.writestr(entry, whole.read(entry))
    assert (tmp_path / "y.pth").stat().st_size < 10**4
    _refusal(tmp_path / "y.pth")
