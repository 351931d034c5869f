"""How commands end."""

from __future__ import annotations

import pytest

from executor.commands.shared import tells_errors


def test_an_interrupt_has_its_own_exit_code() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as left:
        tells_errors(interrupted)()
    assert left.value.code == 130
