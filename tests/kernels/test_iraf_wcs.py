"""TNX and ZPX headers of IRAF: what their text says is what comes out, beside an evaluation of it in plain numpy."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev, legendre, polynomial

from awe.kernels.iraf_wcs import CARD_LENGTH
from awe.kernels.pixel_mesh import overlap_region, pixel_mesh
from awe.kernels.wcs import Wcs, from_tangent_plane, separation, tan

LINEAR = {
    "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 500.0, "CRPIX2": 400.0,
    "CD1_1": -7e-5, "CD1_2": 1e-6, "CD2_1": 2e-6, "CD2_2": 7e-5, "RADESYS": "ICRS",
}  # fmt: skip
LIMITS = (-0.1, 0.12, -0.08, 0.1)
EVALUATE = {1: chebyshev.chebval2d, 2: legendre.legval2d, 3: polynomial.polyval2d}
X, Y = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 1000, 5), np.linspace(0, 800, 4)))


def header(kind, texts):
    """Return cards with text in pieces, of which a FITS file loses the spaces at the end."""
    cards = LINEAR | {"CTYPE1": f"RA---{kind}", "CTYPE2": f"DEC--{kind}", "WAT0_001": "system=image"}
    for axis, text in enumerate(texts, start=1):
        for k, start in enumerate(range(0, len(text), CARD_LENGTH), start=1):
            cards[f"WAT{axis}_{k:03d}"] = text[start : start + CARD_LENGTH].rstrip()
    return cards


def surface(kind, factors, cross):
    """Return a correction as IRAF writes it: only the terms of its kind of cross terms."""
    nx, ny = factors.shape
    kept = [(i, j) for j in range(ny) for i in range(nx) if factors[i, j]]
    numbers = [kind, nx, ny, cross]
    return " ".join(f"{n}." for n in numbers) + " ".join(["", *(repr(v) for v in LIMITS)]) + " ".join(
        ["", *(repr(float(factors[place])) for place in kept), ""]
    )  # fmt: skip


def corrections(cross, shape=(4, 3)):
    rng = np.random.default_rng(4)
    i, j = np.indices(shape)
    there = {0: (i == 0) | (j == 0), 1: np.full(shape, True), 2: i + j < max(shape)}[cross]
    return [np.where(there, rng.normal(0, 1e-4, shape), 0) for _ in range(2)]


@pytest.mark.parametrize("cross", [0, 1, 2])
@pytest.mark.parametrize("kind", EVALUATE)
def test_a_tnx_header_maps_as_its_text_says(kind, cross):
    factors = corrections(cross)
    texts = [
        f'wtype=tnx axtype={axis} {name} = "{surface(kind, each, cross)}"'
        for axis, name, each in zip(("ra", "dec"), ("lngcor", "latcor"), factors, strict=True)
    ]
    wcs = Wcs.from_header(header("TNX", texts))

    xi = LINEAR["CD1_1"] * (X - 499) + LINEAR["CD1_2"] * (Y - 399)
    eta = LINEAR["CD2_1"] * (X - 499) + LINEAR["CD2_2"] * (Y - 399)
    u, v = xi, eta
    if kind != 3:
        u, v = (
            (2 * axis - low - high) / (high - low)
            for axis, low, high in ((xi, *LIMITS[:2]), (eta, *LIMITS[2:]))
        )  # fmt: skip
    expected = from_tangent_plane(
        150, 2, *(a + EVALUATE[kind](u, v, f) for a, f in zip((xi, eta), factors, strict=True))
    )
    found = wcs.to_sky(X, Y)
    assert separation(*found, *expected).max() < 1e-9
    # the corrections of up to an arcsecond are not just left out
    plain = from_tangent_plane(150, 2, xi, eta)
    assert separation(*found, *plain).max() > 1e-5
    assert np.array(wcs.to_pixel(*found)) == pytest.approx(np.array([X, Y]), abs=1e-5)


def test_a_tnx_header_without_corrections_is_a_tangent_plane():
    found = Wcs.from_header(header("TNX", ["wtype=tnx axtype=ra", "wtype=tnx axtype=dec"])).to_sky(X, Y)

    expected = Wcs.from_header(LINEAR | {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}).to_sky(X, Y)
    assert separation(*found, *expected).max() < 1e-10


def test_frames_with_a_tnx_header_are_regridded_to_the_tolerance():
    texts = [
        f'wtype=tnx {name} = "{surface(3, 30 * f, 2)}"'
        for name, f in zip(("lngcor", "latcor"), corrections(2), strict=True)
    ]
    source, target = Wcs.from_header(header("TNX", texts)), tan(150, 2, 0.25, 1300, 1100)
    region = overlap_region(source, (800, 1000), target, (1100, 1300))

    mesh = pixel_mesh(source, target, region)

    x, y = np.random.default_rng(2).uniform((region.x0, region.y0), (region.x1 - 1, region.y1 - 1), (200, 2)).T
    exact = source.to_pixel(*target.to_sky(x, y))
    assert np.array(mesh.positions(x, y)) == pytest.approx(np.array(exact), abs=0.001)


def test_a_zpx_header_is_its_radial_polynomial():
    text = "wtype=zpx axtype={} projp1=1.0 projp3=220.0"
    found = Wcs.from_header(header("ZPX", [text.format("ra"), text.format("dec")])).to_sky(X, Y)

    zpn = {"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN", "PV2_1": 1.0, "PV2_3": 220.0}
    assert separation(*found, *Wcs.from_header(LINEAR | zpn).to_sky(X, Y)).max() < 1e-10
    straight = Wcs.from_header(LINEAR | {"CTYPE1": "RA---ARC", "CTYPE2": "DEC--ARC"}).to_sky(X, Y)
    assert separation(*found, *straight).max() > 1e-6


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("TNX", '"3. 3. 3. 2. -0.1 0.1 -0.1 0.1 1.0 2.0"', "lngcor in the WAT cards is no surface"),
        ("TNX", '"7. 1. 1. 2. -0.1 0.1 -0.1 0.1 1.0"', "lngcor in the WAT cards is no surface"),
        ("TNX", '"3. four"', "lngcor in the WAT cards is no surface"),
        (
            "TNX",
            '"3. 9. 1. 0. -0.1 0.1 -0.1 0.1 ' + " ".join(["1e-4"] * 9) + '"',
            "is of degree 8: TPV holds 7 at most",
        ),
        ("ZPX", '"3. 1. 1. 2. -0.1 0.1 -0.1 0.1 1e-4"', "no standard projection holds these corrections"),
    ],
)
def test_what_can_not_be_read_is_refused_with_the_reason(kind, text, message):
    with pytest.raises(ValueError, match=message):
        Wcs.from_header(header(kind, [f"wtype=tnx lngcor = {text}", ""]))
