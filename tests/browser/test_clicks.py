"""What a person can do on the pages, in a real Chromium."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

PAGES = (
    "/",
    "/table/RawFrame",
    "/object/55",
    "/object/55/tree",
    "/object/7/tree?down=1",
    "/object/56/sources",
    "/jobs",
    "/processes",
)


def pictures_shown(page: Page) -> list[bool]:
    """Return, for each picture, whether it was loaded; asks for those out of sight, too."""
    page.evaluate("""() => Promise.all([...document.images].map(i => {
        i.loading = 'eager';
        return i.complete || new Promise(done => { i.onload = i.onerror = done });
    }))""")
    shown: list[bool] = page.evaluate("[...document.images].map(i => i.naturalWidth > 0)")
    return shown


def test_one_gets_from_the_start_page_to_a_raw_frame_by_clicks(page: Page, site: Any) -> None:
    page.goto("/")
    page.get_by_role("link", name="Coadd", exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Coadd")
    page.get_by_role("link", name=str(site.world.ids["Coadd"]), exact=True).click()
    page.get_by_role("link", name="Lineage").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What it was made from")

    raw = page.locator(".lineage").get_by_role("link", name=re.compile(r"^RawScienceFrame \d+$")).first
    raw.click()

    expect(page.locator("h1")).to_contain_text("Q1010-0100")
    assert page.locator("figure.picture img").evaluate("i => i.decode().then(() => i.naturalWidth)") == 256
    page.get_by_role("link", name="Header").click()
    expect(page.get_by_role("cell", name="CCD40")).to_be_visible()


def test_branches_of_the_tree_open_and_close_by_keyboard(page: Page, site: Any) -> None:
    page.goto(f"/object/{site.world.ids['Coadd']}/tree")
    branch = page.locator("details.branches").filter(has_text="RawBiasFrames").last
    summary = branch.locator("summary").first
    before = branch.get_attribute("open")

    summary.focus()
    page.keyboard.press("Enter")

    assert (branch.get_attribute("open") is None) != (before is None)


def test_the_map_of_classes_opens_the_tree_where_the_class_is(page: Page, site: Any) -> None:
    page.goto(f"/object/{site.world.ids['Coadd']}/tree")
    page.get_by_role("link", name="3 RawBiasFrames").click()

    expect(page).to_have_url(re.compile(r"#o\d+$"))
    assert page.evaluate("document.querySelector(location.hash).checkVisibility({contentVisibilityAuto: true})")


def test_a_table_is_sorted_and_filtered_without_script(page: Page) -> None:
    page.goto("/table/RawFrame")
    page.get_by_role("link", name="exptime").click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("exptime")
    page.get_by_label("object: condition").fill("Q1010*")
    page.keyboard.press("Enter")

    expect(page.locator("p.count")).to_contain_text("3 selected")
    expect(page.locator("tbody tr")).to_have_count(3)


def test_columns_are_chosen(page: Page) -> None:
    page.goto("/table/Coadd")
    page.locator(".chooser summary").click()
    page.get_by_label("sha256").check()
    page.get_by_role("button", name="Show these").click()

    expect(page.locator("thead")).to_contain_text("sha256")


def test_a_picture_is_inverted(page: Page, site: Any) -> None:
    page.goto(f"/object/{site.world.ids['Coadd']}")
    before = page.locator("figure.picture img").get_attribute("src")
    page.get_by_label("Invert").check()
    page.get_by_label("Stretch").select_option("asinh")
    page.get_by_role("button", name="Show").click()

    source = page.locator("figure.picture img").get_attribute("src")
    assert source is not None
    assert source != before
    assert "invert=1" in source
    assert pictures_shown(page)[0]


def test_the_search_box_finds_a_number(page: Page) -> None:
    page.goto("/")
    page.get_by_role("searchbox").fill("55")
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("/object/55$"))


@pytest.mark.parametrize("address", PAGES)
def test_a_page_fits_its_window_and_shows_its_pictures(page: Page, address: str, tmp_path: Path) -> None:
    page.goto(address)

    assert all(pictures_shown(page))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=tmp_path / "page.png", full_page=True)


@pytest.mark.parametrize("address", PAGES)
def test_text_stands_out_from_its_ground(page: Page, address: str) -> None:
    """WCAG AA: a contrast of 4.5 for ordinary text."""
    page.goto(address)

    assert page.evaluate(_LOW_CONTRAST) == []


_LOW_CONTRAST = """() => {
  const channel = v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 };
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = c => .2126 * channel(c[0]) + .7152 * channel(c[1]) + .0722 * channel(c[2]);
  const ground = e => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > .9) return c }
    return [255, 255, 255] };
  const low = new Set();
  for (const e of document.querySelectorAll('main *, header *, footer *')) {
    const text = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!text || !e.checkVisibility() || e.closest('svg, select, .hidden')) continue;
    const a = light(rgb(getComputedStyle(e).color)), b = light(ground(e));
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < 4.5) low.add(e.tagName + '.' + e.className + ' ' + contrast.toFixed(2));
  }
  return [...low];
}"""
