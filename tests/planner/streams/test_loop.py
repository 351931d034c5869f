"""The period of an endless stream: by hand, against the closed form, and what its certificate and its flag promise."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.streams.loop import Loop, Period, Precedence, Resource, most_useful_units, steady_period
from tests.planner.stream_clips import cascade, cascades, closed_form

GRID = [10] * 5


# -- the period ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "units", "decode_us", "value", "limit"),
    [
        (1, 1, 7, Fraction(57), "devices"),
        (1, 2, 7, Fraction(57, 2), "devices"),
        (1, 5, 7, Fraction(57, 5), "devices"),
        (1, 6, 7, Fraction(10), "dependencies"),
        (1, 60, 7, Fraction(10), "dependencies"),
        (2, 6, 7, Fraction(20), "dependencies"),
        (2, 2, 7, Fraction(57, 2), "devices"),
        (5, 1, 7, Fraction(57), "devices"),
        (5, 2, 7, Fraction(50), "dependencies"),
        (1, 20, 60, Fraction(60), "decoder"),
        (1, 2, 60, Fraction(60), "decoder"),
        (1, 1, 60, Fraction(110), "devices"),
    ],
)
def test_the_grid_by_hand(offset: int, units: int, decode_us: int, value: Fraction, limit: str) -> None:
    period = steady_period(cascade(GRID, offset, units, decodes=(decode_us,)))
    assert (period.value, period.limit) == (value, limit)


@pytest.mark.parametrize(
    ("offset", "units", "certificate"),
    [(1, 9, ("s1",)), (2, 9, ("s1", "s2")), (3, 9, ("s0", "s1", "s2")), (1, 2, ("devices",))],
)
def test_what_sets_the_period_is_named(offset: int, units: int, certificate: tuple[str, ...]) -> None:
    loop = cascade((20, 30, 25, 5), offset, units, decodes=(3,))
    assert steady_period(loop).certificate == certificate


def test_unequal_passes_by_hand() -> None:
    # A clean pass of 80 after two of 200, and a decode of 60.
    periods = [steady_period(cascade((200, 200, 80), offset, 9, decodes=(60,))).value for offset in (1, 2, 3)]
    assert periods == [200, 400, 480]
    assert steady_period(cascade((200, 200, 80), 1, 2, decodes=(60,)))[:2] == (Fraction(540, 2), "devices")
    assert steady_period(cascade((200, 200, 80), 1, 2))[:2] == (Fraction(480, 2), "devices")


def test_a_cycle_over_several_blocks_by_hand() -> None:
    edges = (Precedence(0, 1, 4, 0), Precedence(1, 0, 9, 3))
    loop = Loop(("read", "write"), (4, 9), edges, (Resource("both", "devices", ((0, 4), (1, 9)), 4),))
    assert steady_period(loop) == Period(Fraction(13, 3), "dependencies", ("read", "write"), closed_form=True)


def test_of_equal_limits_dependencies_come_first_then_devices() -> None:
    assert steady_period(cascade((10, 10), 1, 2)).limit == "dependencies"
    assert steady_period(cascade((10, 10), 1, 2, decodes=(20,))).limit == "devices"
    assert steady_period(cascade((10, 10), 1, 9, decodes=(10,))).limit == "dependencies"


def test_a_saturated_link_or_decoder_is_named() -> None:
    loop = cascade(GRID, 1, 9)
    link = Resource("0 -> 1", "link", ((4, 11),), 1)
    period = steady_period(loop._replace(resources=(*loop.resources, link)))
    assert period == Period(Fraction(11), "link", ("0 -> 1",), closed_form=False)
    split = cascade(GRID, 1, 8, decodes=(8, 9))
    passes = Resource("devices", "devices", tuple((step, 10) for step in range(5)), 8)
    owner = Resource("decoder", "decoder", ((5, 8), (6, 9)), 1)
    period = steady_period(split._replace(resources=(passes, owner)))
    assert period == Period(Fraction(17), "decoder", ("decoder",), closed_form=True)
    assert steady_period(split).value == 10


def test_slow_devices_count_in_part() -> None:
    loop = cascade(GRID, 1)
    pool = loop.pool._replace(units=Fraction(7, 2))
    assert steady_period(loop._replace(resources=(pool,)))[:2] == (Fraction(100, 7), "devices")


def test_the_end_of_a_late_task_counts() -> None:
    # The second block's pass runs beside the first's from its second microsecond on, and ends two after it.
    edges = (Precedence(0, 0, 1, 1), Precedence(1, 1, 2, 1))
    loop = Loop(("s0",), (10,), edges, (Resource("devices", "devices", ((0, 10),), 9),), late=(0,))
    assert loop.nodes == ("s0", "s0.end")
    assert steady_period(loop) == Period(Fraction(2), "dependencies", ("s0.end",), closed_form=False)
    # If the next block also waits for the end, it has to wait for it all.
    loop = loop._replace(edges=(*edges, Precedence(1, 0, 0, 1)))
    assert steady_period(loop) == Period(Fraction(10), "dependencies", ("s0", "s0.end"), closed_form=False)


def test_errors_say_what_to_do() -> None:
    with pytest.raises(InputError, match="loop: needs tasks, and resources or a dependency between blocks"):
        steady_period(Loop(("a",), (5,), (), ()))
    with pytest.raises(InputError, match="loop: devices has 0 units; give it at least one"):
        steady_period(cascade(GRID).on(0))
    with pytest.raises(InputError, match="edges: s0 -> s1 -> s0 is cyclic"):
        steady_period(cascade((5, 5))._replace(edges=(Precedence(0, 1, 5, 0), Precedence(1, 0, 5, 0))))
    with pytest.raises(InputError, match="loop: no resource of kind 'devices'"):
        most_useful_units(Loop(("a",), (5,), (), ()))


@given(cascades(max_decodes=1))
def test_equals_the_closed_form(loop: Loop) -> None:
    passes = [us for us, name in zip(loop.durations_us, loop.tasks, strict=True) if name.startswith("s")]
    decodes = loop.durations_us[len(passes) :]
    (offset,) = {edge.source + 1 for edge in loop.edges if edge[1] == 0 and edge.distance == 1}
    assert steady_period(loop).value == closed_form(passes, offset, int(loop.pool.units), decodes)


@given(cascades())
def test_the_certificate_has_the_value(loop: Loop) -> None:
    period = steady_period(loop)
    if period.limit == "devices":
        assert period.certificate == ("devices",)
        assert period.value == loop.pool.share
    else:
        # One way around a cascade leads to the next block once.
        of = dict(zip(loop.tasks, loop.durations_us, strict=True))
        assert period.value == sum(of[name] for name in period.certificate)
        assert (period.limit == "decoder") == (loop.stays != () and period.certificate[0].startswith("d"))


# -- whether the value is reached ----------------------------------------------------------------


def test_the_closed_form_holds_without_a_tied_decoder_by_hand() -> None:
    assert steady_period(cascade(GRID, 2, 3)).closed_form
    assert steady_period(cascade(GRID, 2, 3, decodes=(7,), pinned=False)).closed_form
    # Its state cannot go from device to device, but stays if there is one device only, or one of its own.
    assert not steady_period(cascade(GRID, 2, 3, decodes=(7,))).closed_form
    assert steady_period(cascade(GRID, 2, 1, decodes=(7,))).closed_form
    loop = cascade(GRID, 2, 3, decodes=(7,))
    passes = Resource("devices", "devices", loop.pool.work[:5], 2)
    assert steady_period(loop._replace(resources=(passes, Resource("d", "decoder", ((5, 7),), 1)))).closed_form
    assert not steady_period(loop._replace(resources=(passes, Resource("d", "decoder", ((5, 7),), 2)))).closed_form


def test_the_closed_form_holds_with_transfers_that_fit_into_slack_by_hand() -> None:
    # Five passes of 10 on four devices: a period of 12.5, of which 2.5 are left to move K/V.
    assert steady_period(cascade(GRID, 1, 4, transfer_us=2)).closed_form
    assert not steady_period(cascade(GRID, 1, 4, transfer_us=3)).closed_form
    assert steady_period(cascade(GRID, 1, 1, transfer_us=300)).closed_form


def test_the_closed_form_needs_equal_whole_devices_and_all_of_the_work() -> None:
    loop = cascade(GRID, 1, 4)
    pool = loop.pool
    assert steady_period(loop).closed_form
    for odd in (
        pool._replace(units=Fraction(7, 2)),
        pool._replace(work=pool.work[1:]),
        pool._replace(work=((0, 11), *pool.work[1:])),
    ):
        assert not steady_period(loop._replace(resources=(odd,))).closed_form
    link = Resource("bus", "link", ((0, 1),), 1)
    assert not steady_period(loop._replace(resources=(pool, link))).closed_form
    twice = Resource("device 0", "devices", pool.work[:1], 1)
    assert not steady_period(loop._replace(resources=(pool, twice))).closed_form


def test_decoding_goes_last_wherever_it_is_numbered() -> None:
    # The clean pass after the decode; back to back in the order of numbers, blocks would be 17 apart.
    edges = (Precedence(0, 1, 10, 0), Precedence(0, 2, 10, 0), Precedence(2, 0, 5, 1), Precedence(1, 1, 7, 1))
    pool = Resource("devices", "devices", ((0, 10), (1, 7), (2, 5)), 1)
    loop = Loop(("s0", "decode", "clean"), (10, 7, 5), edges, (pool,), stays=((1,),))
    apart = loop._replace(
        resources=(pool._replace(work=((0, 10), (2, 5)), units=2), Resource("d", "decoder", ((1, 7),), 1))
    )
    assert steady_period(apart) == Period(Fraction(15), "dependencies", ("s0", "clean"), closed_form=True)


# -- how many devices help -----------------------------------------------------------------------


def test_most_useful_units_by_hand() -> None:
    assert most_useful_units(cascade(GRID, 1, 2, decodes=(7,))) == 6
    assert most_useful_units(cascade(GRID, 1, 8, decodes=(7,))) == 6
    assert most_useful_units(cascade(GRID, 1, 2)) == 5
    assert most_useful_units(cascade(GRID, 2, 2)) == 3
    assert most_useful_units(cascade(GRID, 1, 2, decodes=(60,))) == 2
    assert most_useful_units(cascade(GRID, 5, 2)) == 1
    independent = Loop(("s0",), (10,), (), (Resource("devices", "devices", ((0, 10),), 1),))
    assert most_useful_units(independent) is None


@given(cascades(), st.integers(1, 9))
def test_devices_beyond_the_most_useful_number_do_not_help(loop: Loop, more: int) -> None:
    most = most_useful_units(loop)
    assert most is not None
    least = steady_period(loop.on(most)).value
    assert steady_period(loop.on(most + more)).value == least
    if most > 1:
        assert steady_period(loop.on(most - 1)).value > least
