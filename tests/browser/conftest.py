"""The pages over a small simulated night, shown by a real Chromium."""

import fcntl
import os
import runpy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

_night = runpy.run_path(str(Path(__file__).parent / "night.py"))
expect.set_options(timeout=20_000)  # a busy machine is slow, not wrong
LOOKS = {"light wide": ("light", 1280), "dark narrow": ("dark", 420)}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium; the tests are skipped where there is none."""
    path = _night["find_chromium"]()
    if path is None:
        pytest.skip(_night["NO_CHROMIUM"])
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=_night["FLAGS"].split())
        yield started
        started.close()


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small night that the pipeline has made; once for all processes that run tests.

    With AWE_BROWSER_NIGHT=FOLDER it is kept there for the next run, too.
    """
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    if kept := os.environ.get("AWE_BROWSER_NIGHT"):
        shared = Path(kept)
        shared.mkdir(parents=True, exist_ok=True)
    folder, made = shared / "browser_night", shared / "browser_night.made"
    with (shared / "browser_night.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _night["make_night"](folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def site(night: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The pages over a copy of the night, served as `awe serve` does."""
    own = tmp_path_factory.mktemp("site")
    shutil.copytree(night, own, dirs_exist_ok=True)
    with _night["served"](own) as site:
        yield site


@pytest.fixture
def tab(browser: Browser, site: Any) -> Iterator[Callable[..., Page]]:
    """Opens tabs; a test fails if one of its pages complains on the console or asks another host."""
    opened: list[BrowserContext] = []
    complaints: list[str] = []

    def heard(message: Any) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def asked(request: Any) -> None:
        if not request.url.startswith((site.address, "data:", "blob:")):
            complaints.append(f"asks {request.url}")

    def open_tab(look: str = "light wide", script: bool = True, quiet: bool = False) -> Page:
        scheme, width = LOOKS[look]
        context = browser.new_context(
            base_url=site.address,
            color_scheme=scheme,
            viewport={"width": width, "height": 900},
            java_script_enabled=script,
            accept_downloads=True,
        )
        opened.append(context)
        context.set_default_timeout(15_000)
        page = context.new_page()
        if not quiet:  # an answer of 4xx is an error on the console
            page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", asked)
        return page

    yield open_tab
    for context in opened:
        context.close()
    assert complaints == []


@pytest.fixture
def page(tab: Callable[..., Page]) -> Page:
    """A wide tab, light."""
    return tab()


@pytest.fixture(params=list(LOOKS))
def either(request: pytest.FixtureRequest, tab: Callable[..., Page]) -> Page:
    """A tab, in each of two looks."""
    return tab(request.param)
