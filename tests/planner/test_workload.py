"""A workload asks for at least one block, and not for more than a plan can hold."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from planner.workload import MAX_BLOCKS, Workload


def test_bounds() -> None:
    assert Workload(blocks=1) == Workload(blocks=1, decode=True)
    assert Workload(blocks=MAX_BLOCKS).blocks == 10_000
    for blocks in (0, -1, MAX_BLOCKS + 1):
        with pytest.raises(ValidationError, match="blocks"):
            Workload(blocks=blocks)
    with pytest.raises(ValidationError, match="frames"):
        Workload.model_validate({"blocks": 1, "frames": 3})
