"""Debian's Chromium without a screen, for what only a browser can tell."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

SIZE = (1300, 900)
MISSING = "no chromium and chromedriver here; on Debian: apt-get install chromium chromium-driver"


def is_there() -> bool:
    """Whether there is a browser and its driver."""
    return None not in (shutil.which("chromium"), shutil.which("chromedriver"))


def console(page: Chrome) -> list[str]:
    """What was written to the console since the last call."""
    return [str(entry["message"]) for entry in page.get_log("browser")]  # type: ignore[no-untyped-call]


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """A browser with an empty profile, closed at the end. Raises FileNotFoundError where there is none."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        raise FileNotFoundError(MISSING)
    options = ChromeOptions()
    options.binary_location = program
    # As root, and in containers with little shared memory, it starts only without its sandbox.
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"):
        options.add_argument(word)
    options.add_argument(f"--user-data-dir={profile}")
    options.add_argument(f"--window-size={SIZE[0]},{SIZE[1]}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    page = Chrome(options=options, service=Service(executable_path=driver))
    try:
        page.set_script_timeout(60)
        yield page
    finally:
        page.quit()
