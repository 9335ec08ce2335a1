"""Colour pictures, dependency cutouts, keys, and pages without scripts, in a real Chromium."""

import io
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

pytestmark = pytest.mark.browser


def loaded(image: Locator) -> int:
    """Return the width of a picture in pixels once it is there."""
    return int(image.evaluate("i => { i.loading = 'eager'; return i.decode().then(() => i.naturalWidth) }"))


def colourful(png: bytes) -> float:
    """Return by how much the colours of a picture differ from grey, on average over the brightest tenth."""
    picture = Image.open(io.BytesIO(png)).convert("HSV")
    pixels = sorted(zip(picture.getchannel("V").tobytes(), picture.getchannel("S").tobytes(), strict=True))
    brightest = pixels[-len(pixels) // 10 :]
    return sum(saturation for _, saturation in brightest) / len(brightest)


@pytest.mark.parametrize(("survey", "zeropoint"), [("CFHTLS", "30.0"), ("KiDS", "0.0")])
def test_three_external_coadds_become_a_colour_picture(
    page: Page, site: Any, real_data: Path, survey: str, zeropoint: str
) -> None:
    files = {band: real_data / "rgb" / f"{survey}-test_{band}.fits" for band in "irg"}
    if not all(path.is_file() for path in files.values()):
        pytest.skip(f"no frames of {survey} in {real_data / 'rgb'}")
    numbers = [
        site.ingest_external([path], filter=band, zeropoint=zeropoint, unit="adu", date="2010-01-01")[0]
        for band, path in files.items()
    ]
    page.goto(f"/object/{numbers[0]}")
    expect(page.locator(".verdict")).to_contain_text("external")

    page.goto("/rgb")
    for label, number in zip(("Red", "Green", "Blue"), numbers, strict=True):
        page.get_by_label(label, exact=True).fill(str(number))
    page.get_by_role("button", name="Make the picture").click()

    shown = page.locator("figure.rgb-picture img")
    assert loaded(shown) >= 101
    assert colourful(page.request.get(str(shown.get_attribute("src"))).body()) > 10
    page.get_by_role("link", name="All earlier pictures").click()
    expect(page.locator(".rgb-card").first).to_be_visible()


def test_a_source_is_shown_in_all_it_was_made_from_and_as_a_film(page: Page, site: Any) -> None:
    slid = site.one("SourceList")
    page.goto("/depcuts")
    form = page.locator("form[action='/depcuts/sources']")
    form.get_by_label("SLID").fill(str(slid))
    form.get_by_label("SID(s)").fill("1:3")
    form.get_by_role("button").last.click()

    heading = re.compile(rf"SLID={slid} SID=1 RA=.* DEC=.* X=.* Y=")
    expect(page.locator("table.depcuts .source").first).to_contain_text(heading)
    expect(page.locator("table.depcuts .source")).to_have_count(3)
    heads = page.locator("table.depcuts thead th").all_inner_texts()
    assert {"RawScienceFrame", "ReducedFrame", "BiasFrame", "MasterFlatFrame"} <= {h.strip() for h in heads}
    assert loaded(page.locator("table.depcuts a.cut img").first) > 0

    film = page.get_by_role("link", name="GIF").first.get_attribute("href")
    with Image.open(io.BytesIO(page.request.get(str(film)).body())) as gif:
        assert gif.format == "GIF"
        assert gif.n_frames > 3


def test_the_keys_do_what_the_links_do(page: Page) -> None:
    page.goto("/table/RawFrame?size=5")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("tbody tr").nth(1)).to_be_focused()
    page.keyboard.press("n")
    expect(page).to_have_url(re.compile("after="))
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/object/\d+"))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()


def test_the_viewer_is_led_by_keys(page: Page, site: Any) -> None:
    page.goto(f"/imageview/{site.one('Coadd')}")
    expect(page.locator("#iv-scale")).to_contain_text("binning factor")
    page.keyboard.press("1")
    expect(page.locator("#iv-scale")).to_contain_text("1 pixel of the image is 1 of the screen")
    page.keyboard.press("i")
    expect(page.get_by_label("Invert")).to_be_checked()
    page.keyboard.press("?")
    expect(page.locator("#iv-keys")).to_be_visible()


def test_all_but_the_viewers_works_without_scripts(tab: Callable[..., Page], site: Any) -> None:
    page = tab("dark narrow", script=False, quiet=True)  # a picture alone is shown by a page of the browser's own
    page.goto("/")
    page.get_by_role("searchbox").fill("Coadd")
    page.get_by_role("searchbox").press("Enter")
    page.goto(f"/object/{site.one('Coadd')}")
    page.locator("#from a.unfold[aria-expanded=false]").first.click()
    expect(page.locator("#from a.unfold[aria-expanded=true]")).to_have_count(1)

    page.goto(f"/imageview/{site.one('Coadd')}")
    expect(page.locator(".iv-still")).to_be_visible()
    page.get_by_label("Stretch").select_option("asinh")
    page.locator("#iv-look button.iv-plain").click()
    expect(page.locator(".iv-still")).to_have_attribute("src", re.compile("stretch=asinh"))

    page.goto(f"/cutouts/sources/{site.one('SourceList')}?sids=0:3")
    page.locator("a[data-magnify]").first.click()
    expect(page).to_have_url(re.compile("/cutouts/frame/"))


def test_a_table_is_sorted_narrowed_and_its_columns_chosen(either: Page) -> None:
    page = either
    page.goto("/table/RawFrame")
    page.locator("thead").get_by_role("link", name="exptime").click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("exptime")
    page.get_by_label("exptime: condition").fill("> 20")
    page.keyboard.press("Enter")
    expect(page.locator("p.count")).to_contain_text("Total number of rows selected: 6")
    page.locator(".chooser summary").click()
    page.get_by_label("sha256", exact=True).check()
    page.get_by_role("button", name="Show these").click()
    expect(page.locator("thead")).to_contain_text("sha256")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "catalogue"), [("efosc2", ""), ("hatp32", "refcat/gaia_dr3_g10_cones.fits:gaia_dr3")]
)
def test_a_source_of_a_real_night_leads_down_to_its_raw_frames(
    browser: Browser, tmp_path: Path, real_data: Path, folder: str, catalogue: str
) -> None:
    night = runpy.run_path(str(Path(__file__).parent / "night.py"))
    home = tmp_path / "home"
    given = ["--catalogue", f"{real_data}/{catalogue}"] if catalogue else []
    command = [sys.executable, "-m", "awe.cli", "--home", str(home), "demo", "--data", str(real_data / folder)]
    subprocess.run([*command, "--no-serve", *given], check=True, capture_output=True)
    with night["served"](home) as site:
        page = browser.new_page()
        slid = site.one("SourceList")
        page.goto(f"{site.address}/depcuts/sources/{slid}?sids=1:2")
        expect(page.locator("table.depcuts thead")).to_contain_text("RawScienceFrame")
        assert loaded(page.locator("table.depcuts a.cut img").first) > 0
        film = page.get_by_role("link", name="GIF").first.get_attribute("href")
        with Image.open(io.BytesIO(page.request.get(f"{site.address}{film}").body())) as gif:
            assert gif.n_frames > 3
