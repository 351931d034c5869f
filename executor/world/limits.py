"""How long ranks may be silent, work or wait before they are given up."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Seconds. `process_group.limits` reads each from BLOCKCASCADE_<NAME>, e.g. BLOCKCASCADE_STALL_S=30.

    What is found is told to all ranks within `NOTICE_S` more.
    """

    beat_s: float = 0.5  # a rank says this often that it is alive, and where it is
    stall_s: float = 15.0  # silent for longer: stopped, or its interpreter is stuck in a call that holds the GIL
    action_s: float = 300.0  # longest that one action may compute
    wait_s: float = 60.0  # longest that all ranks may wait for one another: nothing is under way
    prepare_s: float = 1800.0  # longest before the first action (compilation, warm-up), and after the last (gathering)
    rendezvous_s: float = 60.0  # longest until all ranks have come and agree


NOTICE_S = 2.0  # a failure that a rank could tell is known to every other rank, or to the parent, within this
LOST_S = 3.0  # a rank whose connection broke counts as dead when it is silent for this long
