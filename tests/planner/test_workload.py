"""A workload asks for at least one block, and not for more than a plan can hold; prompts switch in order of time."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from planner.workload import MAX_AT_US, MAX_BLOCKS, MAX_SWITCHES, PromptSwitch, Workload


def test_bounds() -> None:
    assert Workload(blocks=1) == Workload(blocks=1, decode=True, encode_text=False, switches=())
    assert Workload(blocks=MAX_BLOCKS).blocks == 10_000_000
    for blocks in (0, -1, MAX_BLOCKS + 1):
        with pytest.raises(ValidationError, match="blocks"):
            Workload(blocks=blocks)
    with pytest.raises(ValidationError, match="frames"):
        Workload.model_validate({"blocks": 1, "frames": 3})


def test_switches() -> None:
    asked = Workload.model_validate({"blocks": 9, "switches": [{"at_us": 0}, {"at_us": 5, "recache": True}]})
    assert asked.switches == (PromptSwitch(at_us=0), PromptSwitch(at_us=5, recache=True))
    assert PromptSwitch(at_us=MAX_AT_US).recache is False
    most = tuple(PromptSwitch(at_us=at) for at in range(MAX_SWITCHES + 1))
    assert len(Workload(blocks=1, switches=most[:-1]).switches) == MAX_SWITCHES
    with pytest.raises(ValidationError, match="switches"):
        Workload(blocks=1, switches=most)


@pytest.mark.parametrize("times", [(5, 5), (5, 4), (1, 3, 2)])
def test_switches_out_of_order_are_refused(times: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="switches: must be in order of time, no two at once"):
        Workload(blocks=1, switches=tuple(PromptSwitch(at_us=at) for at in times))


@pytest.mark.parametrize(
    "fields", [{"at_us": -1}, {"at_us": MAX_AT_US + 1}, {"at_us": 0.5}, {}, {"at_us": 1, "to": ""}]
)
def test_wrong_switches_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PromptSwitch.model_validate(fields)
