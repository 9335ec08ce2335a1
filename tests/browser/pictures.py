"""`python -m tests.browser.pictures docs/web/pictures` takes the pictures of the documentation anew.

They show a simulated night in three filters, light, in a window 1280 wide; their colours are few to keep them small.
"""

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser.night import FLAGS, NO_CHROMIUM, find_chromium, make_night, served

PAGES = {
    "start": "/",
    "table": "/table/RegriddedFrame?columns=object_id,filter.name,date_obs,seeing,zeropoint,coadds",
    "query": "/query/Coadd?unfold=regridded_frames,regridded_frames.filter&q.regridded_frames.filter.name=r",
    "object": "/object/{Coadd}",
    "unfolded": "/object/{Coadd}?depth=3#from",
    "lineage": "/object/{Coadd}/tree",
    "compare": "/compare/{Coadd}/{other}",
    "nights": "/nights",
    "night": "/night/{instrument}/{night}",
    "sources": "/object/{SourceList}/sources?cutouts=1&size=20",
    "viewer": "/imageview/{Coadd}?sources={SourceList}",
    "ancestors": "/imageview/{Coadd}/ancestors?x=240&y=200",
    "cutouts": "/cutouts",
    "cutout-series": "/cutouts/sources/{SourceList}?sids=80:103",
    "directory": "/cutouts/directory/{run}",
    "rgb": "/rgb?target={target}&filters=i,r,g",
    "depcuts": "/depcuts/sources/{SourceList}?sids=100:101",
    "associates": "/depcuts/associates/{AssociateList}?aids=60",
    "help": "/help",
    "addresses": "/api",
}
SIZE = {"width": 1280, "height": 860}
COLOURS, LARGEST = 256, 250_000


def addresses(site: Any) -> dict[str, str]:
    """Return the address of each page of a site."""
    client = site.app.test_client()
    night = client.get("/nights.json").json["nights"][0]
    known: dict[str, Any] = {name: site.one(name) for name in ("Coadd", "SourceList", "AssociateList")}
    known |= {"other": site.ids("Coadd")[0], "night": night["night"], "instrument": night["instrument"]}
    client.get(f"/cutouts/sources/{known['SourceList']}?sids=80:103", headers={"Accept": "text/html"})
    known["run"] = client.get("/cutouts/runs.json").json[0]["run"]
    known["target"] = client.get("/table/GridTarget.json?columns=name").json["rows"][0]["name"]
    return {name: path.format(**known) for name, path in PAGES.items()}


def take(page: Page, address: str) -> bytes:
    """Return the picture of a page as PNG of few colours."""
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.evaluate(
        "Promise.all([...document.images].map(i => { i.loading = 'eager'; return i.decode().catch(() => 0) }))"
    )
    page.wait_for_load_state("networkidle")
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    colours = COLOURS
    while True:
        out = io.BytesIO()
        picture.quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() < LARGEST:
            return out.getvalue()
        colours //= 2


def main(folder: Path) -> None:
    """Make a night, serve it, and write a picture of each page into a folder."""
    path = find_chromium()
    if path is None:
        sys.exit(NO_CHROMIUM)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="awe-pictures-") as scratch:
        make_night(Path(scratch), "small", exposures=3, chips=2)
        with served(Path(scratch)) as site, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
            page = browser.new_page(base_url=site.address, viewport=SIZE, color_scheme="light")
            for name, address in addresses(site).items():
                (folder / f"{name}.png").write_bytes(take(page, address))
            browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/web/pictures"))
