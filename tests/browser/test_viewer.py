"""The image viewer under mouse and keys, in a real Chromium."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def shown(page: Page) -> dict[str, float]:
    """Return the view that the address bar states."""
    given = parse_qs(urlsplit(page.url).query)
    return {name: float(given[name][0]) for name in ("x", "y", "zoom")}


def opened(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#iv-scale")).to_contain_text("binning factor")
    expect(page).to_have_url(re.compile("zoom="))


def test_keys_move_and_resize_the_view_and_the_address_follows(page: Page, site: Any) -> None:
    opened(page, f"/imageview/{site.one('Coadd')}?x=100&y=90&zoom=4")
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile(r"zoom=8\b"))
    before = shown(page)
    page.keyboard.press("ArrowRight")
    expect(page).not_to_have_url(re.compile(rf"x={before['x']:g}\b"))
    assert shown(page)["x"] > before["x"]
    page.keyboard.press("i")
    expect(page).to_have_url(re.compile("invert=1"))
    page.keyboard.press("1")
    expect(page).to_have_url(re.compile(r"zoom=1\b"))


def test_cuts_that_mean_nothing_are_told_and_the_image_stays(tab: Callable[..., Page], site: Any) -> None:
    page = tab(quiet=True)
    opened(page, f"/imageview/{site.one('Coadd')}")
    page.get_by_label("Cuts").fill("nonsense")
    page.get_by_label("Cuts").press("Enter")
    expect(page.locator("#iv-said")).to_contain_text("cuts must be")
    assert "nonsense" not in page.url


def test_a_second_image_follows_the_first_by_its_place_on_the_sky(page: Page, site: Any) -> None:
    first, second = site.one("Coadd"), site.one("RegriddedFrame")
    opened(page, f"/imageview/{first}?with={second}&x=100&y=90&zoom=4")
    page.wait_for_load_state("networkidle")
    boxes = [page.locator(f"#iv-pane-{one}").bounding_box() for one in "ab"]
    skies = []
    for box in boxes:
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        expect(page.locator("#iv-place")).to_contain_text(re.compile(r"\(\d+\.\d{5} -?\d+\.\d{5}\)"))
        page.wait_for_load_state("networkidle")
        told = re.search(r"\((\d+\.\d{5}) (-?\d+\.\d{5})\)", page.locator("#iv-place").inner_text())
        assert told is not None
        skies.append((float(told[1]), float(told[2])))
    assert skies[0] == pytest.approx(skies[1], abs=3e-5)
    page.keyboard.press("b")
    expect(page.locator("#iv-stage")).to_have_class(re.compile("iv-second"))


def test_without_scripts_a_click_reads_a_pixel_and_makes_it_the_middle(tab: Callable[..., Page], site: Any) -> None:
    page = tab(script=False)
    page.goto(f"/imageview/{site.one('Coadd')}?x=100&y=90&zoom=4")
    page.locator("input[type=image]").click(position={"x": 520, "y": 300})
    expect(page.locator(".iv-nojs .iv-readout")).to_contain_text("x 110.12  y 94.88")
    page.locator(".iv-nojs a", has_text="resize 2x").click()
    expect(page).to_have_url(re.compile(r"zoom=8"))
