"""What ranks compare before they start: each thing that decides the clip changes it, and nothing else does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from executor.world.fingerprint import fingerprint


class Codec:
    """Holds modules without being one."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module


def layer(seed: int = 0, width: int = 30) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(width, 20), nn.LayerNorm(20))


def test_equal_weights_have_equal_fingerprints() -> None:
    assert fingerprint({"wan": layer()}) == fingerprint({"wan": layer()})
    assert fingerprint({"wan": layer(), "vae": None}) == fingerprint({"wan": layer(), "vae": None})
    assert fingerprint({"vae": Codec(layer())}) == fingerprint({"vae": Codec(layer())})


@pytest.mark.parametrize(
    "other",
    [
        {"wan": layer(seed=1)},
        {"wan": layer(width=31)},
        {"wan": layer().to(torch.bfloat16)},
        {"wan": layer(), "vae": None},
        {"vae": layer()},
        {"wan": nn.Sequential(layer())},
        {"wan": Codec(layer())},
    ],
    ids=["values", "shapes", "types", "parts", "part", "names", "classes"],
)
def test_anything_else_changes_it(other: dict[str, object]) -> None:
    assert fingerprint({"wan": layer()}) != fingerprint(other)


def test_a_codecs_weights_count() -> None:
    assert fingerprint({"vae": Codec(layer())}) != fingerprint({"vae": Codec(layer(seed=1))})


def test_layout_does_not_count_and_odd_tensors_are_fine() -> None:
    plain, turned = layer(), layer()
    turned[0].weight = nn.Parameter(turned[0].weight.detach().t().contiguous().t())  # type: ignore[index]
    assert not turned[0].weight.is_contiguous()  # type: ignore[index]
    assert fingerprint({"wan": plain}) == fingerprint({"wan": turned})
    odd = nn.Module()
    for name, tensor in {
        "empty": torch.zeros(0),
        "scalar": torch.tensor(3),
        "flag": torch.tensor([True]),
        "small": torch.zeros(3, dtype=torch.float8_e4m3fn),
        "absent": torch.zeros(3, device="meta"),
    }.items():
        odd.register_buffer(name, tensor)
    assert len(fingerprint({"wan": odd})) == 12
