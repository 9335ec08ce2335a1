"""Residuals of global astrometric solutions: five panels whose numbers are those of the detections used."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from awe.processing import photometric_solution
from awe.processing.global_astrometry import RESIDUALS
from awe.services.residuals import MOST_POINTS, panels, panels_of, picture


def table(count, seed=1):
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, RESIDUALS)
    rows["ra"], rows["dec"] = np.mod(rng.uniform(-0.2, 0.2, count), 360), rng.uniform(1, 2, count)
    rows["dra"], rows["ddec"] = rng.normal(0.001, 0.01, count), rng.normal(0, 0.02, count)
    rows["used"] = rng.random(count) < 0.9
    return rows


def test_there_are_five_panels_each_other_and_position():
    found = panels(table(500))
    assert [(p.upward[:2], p.across[:2]) for p in found] == [
        ("Δδ", "Δα"), ("Δα", "ri"), ("Δα", "de"), ("Δδ", "ri"), ("Δδ", "de")
    ]  # fmt: skip


def test_number_mean_and_rms_are_of_the_detections_used_in_milliarcseconds():
    rows = table(500)
    used = rows[rows["used"] > 0]
    east = panels(rows)[1]
    assert east.count == len(used)
    assert east.mean == pytest.approx(1000 * used["dra"].astype(float).mean())
    assert east.rms == pytest.approx(1000 * np.sqrt(np.mean(used["dra"].astype(float) ** 2)))
    assert east.as_json()["count"] == len(used)


def test_a_field_at_ra_0_is_not_torn():
    assert np.ptp(panels(table(500))[1].x) < 0.5


def test_the_picture_is_svg_with_the_numbers_and_a_bounded_number_of_points():
    drawn = picture(panels(table(20_000)))
    root = ET.fromstring(str(drawn))
    assert root.tag.endswith("svg")
    assert len(re.findall("N [0-9,]+, mean", "".join(root.itertext()))) == 5
    points = [p.attrib["d"].count("h0") for p in root.iter("{http://www.w3.org/2000/svg}path") if "h0" in p.attrib["d"]]
    assert len(points) == 5
    assert max(points) <= MOST_POINTS


def test_nothing_used_is_said():
    rows = table(10)
    rows["used"] = 0
    assert "no detection was used" in picture(panels(rows))
    assert panels(rows)[0].as_json()["mean"] is None


def magnitudes(count, seed=2):
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, photometric_solution.RESIDUALS)
    rows["ra"], rows["dec"] = np.mod(rng.uniform(-0.2, 0.2, count), 360), rng.uniform(1, 2, count)
    rows["magnitude"], rows["airmass"] = rng.uniform(14, 20, count), rng.choice([1.0, 1.3, 1.9], count)
    rows["mjd"] = 61000 + rng.choice([0.0, 0.1, 0.2], count)
    rows["residual"], rows["used"] = rng.normal(0.002, 0.01, count), rng.random(count) < 0.9
    return rows


def test_residuals_of_magnitudes_have_five_panels_too():
    rows = magnitudes(500)
    used = rows[rows["used"] > 0]
    found = panels_of(rows)
    assert [p.across for p in found] == [
        "magnitude", "right ascension (deg)", "declination (deg)", "air mass", "time since the first (h)"
    ]  # fmt: skip
    assert {p.count for p in found} == {len(used)}
    assert found[0].mean == pytest.approx(1000 * used["residual"].astype(float).mean())
    assert found[0].rms == pytest.approx(1000 * np.sqrt(np.mean(used["residual"].astype(float) ** 2)))
    assert found[4].x.max() == pytest.approx(4.8, abs=1e-3)
    assert {p.as_json()["unit"] for p in found} == {"mmag"}
    assert "mmag" in picture(found)
    assert np.ptp(found[1].x) < 0.5


@pytest.mark.parametrize("make", [table, magnitudes])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, 1e30, -1e30])
def test_whatever_a_file_holds_is_drawn_or_left_out(make, count, value):
    rows = make(count)
    if count:
        rows["used"] = 1
        for name in rows.dtype.names:
            if rows.dtype[name].kind == "f":
                rows[name][0] = value
    found = panels_of(rows)
    drawn = str(picture(found))
    ET.fromstring(drawn)
    assert len(found) == 5
    assert "nan" not in drawn
    assert "inf" not in drawn


@pytest.mark.parametrize("make", [table, magnitudes])
def test_one_place_one_time_and_no_scatter_are_drawn(make):
    rows = make(20)
    for name in rows.dtype.names:
        rows[name] = 1
    ET.fromstring(str(picture(panels_of(rows))))
