"""The pages over a small database, served to a real Chromium."""

import os
import runpy
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from waitress.server import create_server

from awe.config import Settings
from awe.database import open_engine
from awe.local import start_data_server
from awe.services.app import create_app
from awe.store import Store

build = runpy.run_path(str(Path(__file__).parents[1] / "web_world.py"))["build"]

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@dataclass
class Site:
    """The pages at an address, and what is in the database."""

    address: str
    world: Any


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium; the tests are skipped where there is none."""
    path = os.environ.get("AWE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not path or not Path(path).exists():
        pytest.skip(f"no Chromium ({path or 'not on the PATH'}): install chromium, or set AWE_CHROMIUM to its path")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield started
        started.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The application, served by waitress on a free port, as `awe serve` does."""
    folder = tmp_path_factory.mktemp("site")
    with start_data_server(folder / "files") as server:
        engine = open_engine(f"sqlite:///{folder}/awe.db")
        world = build(engine, Store(server.address, folder / "cache"), folder)
        app = create_app(Settings(home=folder), engine, world.store)
        sockets: dict[Any, Any] = {}
        web = create_server(app, sockets, host="127.0.0.1", port=0, threads=8, clear_untrusted_proxy_headers=True)
        thread = threading.Thread(target=web.run)
        thread.start()
        yield Site(f"http://127.0.0.1:{web.effective_port}", world)
        web.trigger.pull_trigger(lambda: [s.close() for s in [*sockets.values()]])
        thread.join(10)
        web.task_dispatcher.shutdown()
        engine.dispose()


@pytest.fixture(params=["light wide", "dark narrow"])
def page(request: pytest.FixtureRequest, browser: Browser, site: Site) -> Iterator[Page]:
    """A tab, in each of two looks; a test fails if the page complains on the console."""
    scheme, width = request.param.split()
    context = browser.new_context(
        base_url=site.address, color_scheme=scheme, viewport={"width": 1280 if width == "wide" else 420, "height": 900}
    )
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert complaints == []
