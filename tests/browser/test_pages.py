"""Every page by itself: it fits its window, shows its pictures, can be used by everybody, and loads nothing foreign."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

AXE = (Path(__file__).parent / "vendor" / "axe-core-4.14.1" / "axe.min.js").read_text()
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OF_COLOUR = "color-contrast link-in-text-block"
OF_WIDTH = "target-size scrollable-region-focusable color-contrast"

PAGES = {
    "start": "/",
    "table": "/table/Coadd",
    "table of all raw frames": "/table/RawFrame?size=20&facets=1",
    "empty table": "/table/RawDarkFrame",
    "query form": "/query/Coadd?unfold=regridded_frames,regridded_frames.filter",
    "query, stated": "/table/RegriddedFrame?q.filter.name=r&columns=object_id,filter.name,seeing&sort=-object_id",
    "query form of sources": "/object/{SourceList}/query?unfold=source_list.frame,source_list.frame.Coadd",
    "whole table": "/table/Coadd.html",
    "all sources": "/object/{SourceList}/sources.html?where=SID<30",
    "object": "/object/{Coadd}",
    "object, unfolded": "/object/{Coadd}?depth=3",
    "object without picture": "/object/{PhotometricParameters}",
    "flag map": "/object/{HotPixelMap}",
    "lineage": "/object/{Coadd}/tree",
    "what was made of it": "/object/{RawBiasFrame}/tree?down=1",
    "header": "/object/{RawScienceFrame}/header",
    "why": "/object/{Coadd}/why",
    "residuals": "/object/{GlobalAstrometry}/residuals",
    "PSF": "/object/{PsfModel}/psf",
    "PSF, many stars": "/object/{PsfModel}/psf?cells=9",
    "PSF, single stars": "/object/{PsfModel}/psf-stars",
    "model of the PSF": "/object/{PsfModel}",
    "residuals of magnitudes": "/object/{PhotometricSolution}/residuals",
    "why not": "/object/{RawScienceFrame}/why-not",
    "sources": "/object/{SourceList}/sources?size=20",
    "sources with cutouts": "/object/{SourceList}/sources?size=20&cutouts=1",
    "associates": "/object/{AssociateList}/sources?size=20",
    "compare": "/compare/{Coadd}/{other}",
    "find": "/find?q=Coadd",
    "nights": "/nights",
    "night": "/night/{instrument}/{night}",
    "instruments": "/instruments",
    "filters": "/filters",
    "runs": "/runs",
    "grid targets": "/grids",
    "filter": "/filter/r",
    "jobs": "/jobs",
    "processes": "/processes",
    "help": "/help",
    "addresses": "/api",
    "sign in": "/signin",
    "images": "/imageview",
    "viewer": "/imageview/{Coadd}?sources={SourceList}&footprints=1",
    "two images": "/imageview/{Coadd}?with={RegriddedFrame}",
    "ancestors": "/imageview/{Coadd}/ancestors?x=120&y=100",
    "cutouts": "/cutouts",
    "cutouts of sources": "/cutouts/sources/{SourceList}?sids=0:7",
    "cutouts of associates": "/cutouts/associates/{AssociateList}?aids=0:3",
    "one cutout": "/cutouts/frame/{Coadd}?x=120&y=100",
    "runs of cutouts": "/cutouts/runs",
    "lists of positions": "/cutouts/lists",
    "directory": "/cutouts/directory/{run}",
    "colour pictures": "/rgb",
    "colour picture": "/rgb?target={target}&filters=i,r,g",
    "earlier colour pictures": "/rgb/earlier",
    "dependency cutouts": "/depcuts",
    "dependency cutouts of sources": "/depcuts/sources/{SourceList}?sids=0:1",
    "dependency cutouts of associates": "/depcuts/associates/{AssociateList}?aids=0",
    "runs of dependency cutouts": "/depcuts/runs",
    "no such page": "/nowhere",
    "wrong parameter": "/table/Coadd?size=0",
}
"""Address of each page; {Class} stands for the newest object of a class."""
FAILING = ("no such page", "wrong parameter")
NO_PAGES = ("Leads", "Goes", "The address of pictures before there was", "What the page of an object unfolds")
"""How the summaries of addresses begin that have no page of their own."""


@pytest.fixture(scope="module")
def address(site: Any) -> Callable[[str], str]:
    """Return the address of a page of this site, by its name."""
    client = site.app.test_client()
    known = {name: site.one(name) for name in re.findall(r"\{([A-Z]\w+)\}", " ".join(PAGES.values()))}
    night = client.get("/nights.json").json["nights"][0]
    target = client.get("/table/GridTarget.json?columns=name").json["rows"][0]["name"]
    client.get(f"/cutouts/sources/{known['SourceList']}?sids=0:7", headers={"Accept": "text/html"})
    known["run"] = client.get("/cutouts/runs.json").json[0]["run"]

    def find(name: str) -> str:
        return PAGES[name].format(
            **known, other=site.ids("Coadd")[0], night=night["night"], instrument=night["instrument"], target=target
        )

    return find


def show(page: Page, address: str, name: str) -> None:
    answer = page.goto(address)
    assert answer is not None
    assert answer.ok is (name not in FAILING), answer.status
    page.wait_for_load_state("networkidle")


def pictures_shown(page: Page) -> list[str]:
    """Return the addresses of pictures that could not be shown; asks for those out of sight, too."""
    lost: list[str] = page.evaluate("""() => Promise.all([...document.images].map(i => {
        i.loading = 'eager';
        return i.complete || new Promise(done => { i.onload = i.onerror = done });
    })).then(() => [...document.images].filter(i => !i.naturalWidth).map(i => i.src))""")
    return lost


def violations(page: Page, only: str = "") -> list[str]:
    """Return what axe-core finds wrong (`only` by these rules): rule, and where."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    chosen = {"type": "rule", "values": only.split()} if only else {"type": "tag", "values": TAGS}
    found = page.evaluate(
        "runOnly => axe.run(document, {runOnly, resultTypes: ['violations']}).then(r => r.violations)", chosen
    )
    return [f"{v['id']}: {n['target'][0]}: {n['failureSummary']}" for v in found for n in v["nodes"]]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_accessible(name: str, address: Callable[[str], str], tab: Callable[..., Page]) -> None:
    page = tab("light wide", quiet=name in FAILING)
    show(page, address(name), name)

    assert pictures_shown(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert violations(page) == []

    page.emulate_media(color_scheme="dark")
    assert violations(page, OF_COLOUR) == []

    page.set_viewport_size({"width": 420, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert violations(page, OF_WIDTH) == []


class _Parts(HTMLParser):
    """Collects what a strict content security policy forbids, and the addresses that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.forbidden: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.forbidden += [f"<{tag} {name}=...>" for name in given if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.forbidden.append(f"<{tag}>")
        if tag in ("script", "img", "link", "iframe", "source", "form"):
            self.loaded += [given[name] or "" for name in ("src", "href", "action") if name in given]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_a_policy_and_keeps_to_it(name: str, address: Callable[[str], str], site: Any) -> None:
    answer = site.app.test_client().get(address(name))
    parts = _Parts()
    parts.feed(answer.text)

    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert parts.forbidden == []
    assert [a for a in parts.loaded if not re.match(r"/(?!/)|data:image/|$|#|\?", a)] == []


def test_every_page_of_the_description_is_looked_at(address: Callable[[str], str], site: Any) -> None:
    """An address that answers with a page is in PAGES; those that only lead elsewhere need not be."""
    rules = site.app.url_map.bind("localhost")
    seen = {rules.match(address(name).partition("?")[0])[0] for name in PAGES if name not in FAILING}
    pages = {
        operation["operationId"].partition(":")[0]
        for operations in site.app.test_client().get("/openapi.json").json["paths"].values()
        for method, operation in operations.items()
        if method == "get"
        if "text/html" in operation["responses"]["200"]["content"] and not operation["summary"].startswith(NO_PAGES)
    }
    assert {p for p in pages if not p.endswith(".json")} - seen == set()
