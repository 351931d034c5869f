"""The report in a browser: it opens, zooms, follows the keyboard, shows a tooltip, and the console stays empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from planner.conditions import Conditions, Jitter
from planner.pictures.report import report_html
from planner.simulate import simulate
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.planner.pictures.browser import MISSING, chromium, console, is_there

PROBLEM = clip(model(3, clean=True), 6, 3)
PLAN = plan_of(costed(PROBLEM, cascade(1)))
TRACE = simulate(PLAN, PROBLEM, Conditions(jitter=Jitter.of(0.2), seed=1))


pytestmark = pytest.mark.skipif(not is_there(), reason=MISSING)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def opened(browser: Chrome, tmp_path: Path) -> Iterator[Chrome]:
    """The report, open; at the end nothing may stand on the console."""
    console(browser)  # what an earlier test left
    path = tmp_path / "report.html"
    path.write_text(report_html(PLAN, TRACE, PROBLEM))
    browser.get(path.as_uri())
    yield browser
    assert console(browser) == []


def canvas(page: Chrome) -> WebElement:
    return page.find_element(By.ID, "timeline")


def view(page: Chrome) -> tuple[float, float]:
    """What the timeline shows, microseconds."""
    element = canvas(page)
    return float(element.get_dom_attribute("data-from") or -1), float(element.get_dom_attribute("data-to") or -1)


def settled(page: Chrome, done: Any) -> None:
    WebDriverWait(page, 10).until(done)


def span(page: Chrome) -> float:
    start, end = view(page)
    return end - start


def test_it_opens_on_the_whole_clip(opened: Chrome) -> None:
    settled(opened, lambda page: view(page)[1] > 0)
    assert view(opened) == (0, max(PLAN.makespan_us, TRACE.makespan_us))
    assert PLAN.placement in opened.title
    assert opened.find_element(By.TAG_NAME, "h1").text == opened.title


def test_something_is_drawn_in_the_blocks_colours(opened: Chrome) -> None:
    settled(opened, lambda page: view(page)[1] > 0)
    colors = opened.execute_script(
        "const c = document.getElementById('timeline'), seen = {};"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "for (let i = 0; i < d.length; i += 4) {"
        "  const k = [d[i], d[i+1], d[i+2]].join(); seen[k] = (seen[k] || 0) + 1;"
        "}"
        "return seen;"
    )
    for color in ("0,114,178", "230,159,0", "187,187,187", "213,94,0", "238,238,238"):
        assert colors.get(color, 0) > 100, color


def test_the_wheel_zooms_where_the_pointer_is(opened: Chrome) -> None:
    settled(opened, lambda page: view(page)[1] > 0)
    whole = span(opened)
    ActionChains(opened).move_to_element(canvas(opened)).perform()
    opened.execute_script(
        "const c = document.getElementById('timeline'), r = c.getBoundingClientRect();"
        "c.dispatchEvent(new WheelEvent('wheel', {deltaY: -200, clientX: r.left + 62, clientY: r.top + 40}));"
    )
    settled(opened, lambda page: span(page) < whole)
    assert view(opened)[0] == pytest.approx(0, abs=whole / 100)
    assert span(opened) == pytest.approx(whole * 0.6065, rel=0.01)


def test_buttons_and_keys_do_the_same(opened: Chrome) -> None:
    settled(opened, lambda page: view(page)[1] > 0)
    whole = span(opened)
    opened.find_element(By.ID, "zoom-in").click()
    settled(opened, lambda page: span(page) == pytest.approx(whole / 1.5))
    middle = view(opened)
    canvas(opened).send_keys("+")
    settled(opened, lambda page: span(page) == pytest.approx(whole / 2.25))
    canvas(opened).send_keys("-")
    settled(opened, lambda page: view(page) == pytest.approx(middle))
    canvas(opened).send_keys(Keys.ARROW_RIGHT)
    settled(opened, lambda page: view(page)[0] > middle[0])
    canvas(opened).send_keys("0")
    settled(opened, lambda page: span(page) == whole)


def test_dragging_moves_and_stops_at_the_ends(opened: Chrome) -> None:
    settled(opened, lambda page: view(page)[1] > 0)
    whole = span(opened)
    opened.find_element(By.ID, "zoom-in").click()
    settled(opened, lambda page: span(page) < whole)
    before = view(opened)
    ActionChains(opened).drag_and_drop_by_offset(canvas(opened), -100, 0).perform()
    settled(opened, lambda page: view(page)[0] > before[0])
    ActionChains(opened).drag_and_drop_by_offset(canvas(opened), 500, 0).perform()
    settled(opened, lambda page: view(page)[0] == 0)
    assert span(opened) == pytest.approx(whole / 1.5)


def test_a_tooltip_tells_planned_and_simulated(opened: Chrome) -> None:
    settled(opened, lambda page: view(page)[1] > 0)
    box = canvas(opened).rect
    # The first bar of rank 0: a little right of the names, a little below the title.
    left, top = 70 - box["width"] / 2, 30 - box["height"] / 2
    ActionChains(opened).move_to_element_with_offset(canvas(opened), round(left), round(top)).perform()
    tip = opened.find_element(By.ID, "tip")
    settled(opened, lambda _: tip.is_displayed())
    first = PLAN.ranks[0][0]
    assert tip.text.splitlines()[:2] == [str(first.action), "rank 0, planned"]
    assert "simulated:" in tip.text
    assert f"lasts {first.end_us / 1000:g} ms" in tip.text
    ActionChains(opened).move_to_element(opened.find_element(By.TAG_NAME, "h1")).perform()
    settled(opened, lambda _: not tip.is_displayed())


def test_the_critical_path_can_be_followed_and_hidden(opened: Chrome) -> None:
    settled(opened, lambda page: view(page)[1] > 0)
    canvas(opened).send_keys("n")
    tip = opened.find_element(By.ID, "tip")
    settled(opened, lambda _: "on the critical path" in tip.text)
    pixels = "return document.getElementById('timeline').toDataURL()"
    canvas(opened).send_keys(Keys.ESCAPE, "0")
    settled(opened, lambda _: not tip.is_displayed())
    shown = opened.execute_script(pixels)
    opened.find_element(By.ID, "critical").click()
    settled(opened, lambda page: page.execute_script(pixels) != shown)


def test_light_and_dark(opened: Chrome) -> None:
    paper = "return getComputedStyle(document.body).backgroundColor"
    before = opened.execute_script(paper)
    opened.find_element(By.ID, "theme").click()
    assert opened.execute_script(paper) != before
