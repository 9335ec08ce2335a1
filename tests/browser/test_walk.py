"""What a person does on the pages: from a table row to any pixel, in a real Chromium."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser


def loaded(image: Locator) -> int:
    """Return the width of a picture in pixels once it is there."""
    return int(image.evaluate("i => { i.loading = 'eager'; return i.decode().then(() => i.naturalWidth) }"))


def viewer_ready(page: Page) -> None:
    """Wait until the viewer shows all tiles of its view."""
    expect(page.locator("#iv-scale")).to_contain_text("binning factor")
    page.wait_for_load_state("networkidle")


def drawn(page: Page) -> float:
    """Return the mean brightness of what the viewer shows, 0 to 255."""
    return float(
        page.locator("#iv-pane-a canvas").first.evaluate("""c => {
            const copy = new OffscreenCanvas(c.width, c.height).getContext('2d', {willReadFrequently: true});
            copy.drawImage(c, 0, 0);
            const p = copy.getImageData(c.width / 4, c.height / 4, c.width / 2, c.height / 2).data;
            let sum = 0;
            for (let i = 0; i < p.length; i += 4) sum += p[i];
            return sum / (p.length / 4);
        }""")
    )


def test_from_the_start_page_to_the_files_of_cutouts(either: Page, site: Any) -> None:
    page = either
    page.goto("/")
    page.locator("main").get_by_role("link", name="Coadd", exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Coadd")
    count = len(site.ids("Coadd"))  # those of the night, and what other tests ingested
    assert count >= 3
    expect(page.locator("p.count")).to_contain_text(f"Total number of rows selected: {count}, project: ALL")

    query_a_dependency(page)
    coadd = open_the_object(page)
    expand_to_the_raw_frame(page, coadd)
    view_the_picture(page)
    read_a_pixel(page)
    cut_out_the_sources(page)
    names = take_the_files(page)

    assert len(names) > 10
    assert sum(name.endswith(".png") for name in names) > 8
    assert any("manifest" in name for name in names)


def query_a_dependency(page: Page) -> None:
    """Select by the filter of the frames that a coadd is made of, and show it."""
    page.get_by_role("link", name="Query form").click()
    page.locator("button[name=open][value=regridded_frames]").click()
    page.locator("button[name=open][value='regridded_frames.filter']").click()
    page.get_by_label("regridded_frames.filter.name: value").fill("r")
    page.get_by_label("show regridded_frames.filter.name").check()
    page.get_by_role("button", name="Write the query").click()
    expect(page.locator("[data-copy]").first).to_contain_text("filter.name")
    page.locator("button[name=show]").click()
    expect(page.locator("p.count")).to_contain_text("Total number of rows selected: 1")
    expect(page.locator("thead")).to_contain_text("filter.name")
    expect(page.locator("tbody tr")).to_have_count(1)


def open_the_object(page: Page) -> int:
    """Go from the row of the table to the object; return its number."""
    page.locator("tbody a[href^='/object/']:not([tabindex])").first.click()
    expect(page).to_have_url(re.compile(r"/object/\d+"))
    expect(page.locator(".crumbs")).to_contain_text("Coadd")
    return int(re.search(r"/object/(\d+)", page.url)[1])  # type: ignore[index]


def expand_to_the_raw_frame(page: Page, coadd: int) -> None:
    """Unfold what a coadd was made from until a raw frame, in place."""
    place = page.locator("#from")
    for name in ("RegriddedFrame", "ReducedFrame"):
        link = place.locator("a.unfold[aria-expanded=false]").and_(page.get_by_label(name)).first
        link.click()
        expect(page).to_have_url(re.compile("expand="))
    raw = place.get_by_role("link", name=re.compile(r"RawScienceFrame \d+")).first
    expect(raw).to_be_visible()
    expect(page).to_have_url(re.compile(rf"/object/{coadd}\?"))


def view_the_picture(page: Page) -> None:
    """Open the viewer, turn it to a positive, raise the contrast, zoom."""
    page.locator("figure.picture a").click()
    expect(page).to_have_url(re.compile(r"/imageview/\d+"))
    viewer_ready(page)
    negative = drawn(page)
    page.get_by_label("Invert").check()
    viewer_ready(page)
    assert abs(drawn(page) - (255 - negative)) < 30
    page.locator("[data-do=contrast-high]").click()
    expect(page).to_have_url(re.compile("cuts="))
    before = page.locator("#iv-scale").inner_text()
    page.locator("[data-do=larger]").click()
    expect(page.locator("#iv-scale")).not_to_have_text(before)
    viewer_ready(page)


def read_a_pixel(page: Page) -> None:
    """Point at the image: position, value and sky are told."""
    page.locator("[data-do=whole]").click()
    box = page.locator("#iv-pane-a").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    told = re.compile(r"x \d+\.\d  y \d+\.\d   -?[\d.e-]+ adu   \d\d:\d\d:\d\d")
    expect(page.locator("#iv-place")).to_contain_text(told)


def cut_out_the_sources(page: Page) -> None:
    """Go to the source list, make cut-outs in its table, magnify one."""
    page.get_by_role("link", name="Object", exact=True).click()
    page.locator("#made a:not(.unfold)").filter(has_text=re.compile(r"SourceList \d+")).first.click()
    page.get_by_role("link", name="Sources", exact=True).click()
    page.get_by_role("link", name="Make cut-out images").click()
    first = page.locator("td.cutout img").first
    assert loaded(first) > 0
    page.get_by_role("link", name="All cut-outs").click()
    link = page.locator("a[data-magnify]").first
    link.click()
    panel = page.get_by_role("dialog")
    assert loaded(panel.locator("img")) > loaded(link.locator("img"))
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)


def take_the_files(page: Page) -> list[str]:
    """Look at the directory, choose its pictures, take them as a ZIP; return the names in it."""
    page.get_by_role("link", name="Directory view").click()
    page.get_by_role("link", name="*.png", exact=True).click()
    expect(page.locator(".filelist input").first).to_be_checked()
    with page.expect_download() as download:
        page.get_by_role("button", name="zip of the marked").click()
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        assert archive.testzip() is None
        return archive.namelist()
