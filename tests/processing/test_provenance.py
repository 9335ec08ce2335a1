"""The lineage can be read from the file alone."""

from dataclasses import fields

import numpy as np
import pytest
from astropy.io import fits

from awe.fits import read_image
from awe.kernels.wcs import Wcs
from awe.model import (
    AstrometricParameters,
    BiasFrame,
    Coadd,
    CosmicMap,
    HotPixelMap,
    ReducedFrame,
    RegriddedFrame,
    SatelliteMap,
    WeightFrame,
)
from awe.model.lineage import sources


def header_of(site, product):
    with fits.open(site.store.retrieve(product.filename, product.sha256), disable_image_compression=True) as hdus:
        assert all(hdu.verify_checksum() == 1 and hdu.verify_datasum() == 1 for hdu in hdus)
        return hdus[0].header.copy()


def inputs_in(header):
    """Return (role, class and number, file) of each input that a header names."""
    found = []
    while f"PROV{len(found) + 1}" in header:
        number = len(found) + 1
        found.append((header[f"PROVR{number}"], header[f"PROVC{number}"], header[f"PROV{number}"]))
    return found


@pytest.mark.parametrize("cls", [Coadd, RegriddedFrame, ReducedFrame, BiasFrame, AstrometricParameters])
def test_a_header_names_class_task_inputs_and_parameters(undisturbed, cls):
    with undisturbed.session() as session:
        product = session.get(cls, undisturbed.all(cls)[-1].object_id)
        header = header_of(undisturbed, product)
        used = [
            (role, f"{type(s).__name__} {s.object_id}", getattr(s, "filename", None) or str(s))
            for role, s in sources(product)
        ]
        process = product.process.name, product.process.version
        values = {f.name: getattr(product.parameters, f.name) for f in fields(product.Parameters)}
    written = {header[f"PARN{i}"]: header[f"PARV{i}"] for i in range(1, len(values) + 1)}

    assert (header["AWECLASS"], (header["PROCNAME"], header["PROCVER"])) == (cls.__name__, process)
    assert inputs_in(header) == used
    assert written == {n: "none" if v is None else getattr(v, "value", v) for n, v in values.items()}


@pytest.mark.parametrize("cls", [BiasFrame, HotPixelMap, CosmicMap, SatelliteMap, ReducedFrame, WeightFrame, Coadd])
def test_the_row_of_a_product_tells_the_hdu_of_its_first_plane(undisturbed, cls):
    product = undisturbed.all(cls)[0]
    image, header = read_image(undisturbed.store.retrieve(product.filename, product.sha256), product.hdu)

    assert image.shape == (product.naxis2, product.naxis1)
    assert header["AWECLASS"] == cls.__name__


def test_the_whole_lineage_of_a_coadd_is_walked_by_files_alone(undisturbed):
    """From the coadd to raw files by nothing but file names and headers; the database is not asked."""
    store = undisturbed.store
    waiting, seen, classes = [undisturbed.all(Coadd)[0].filename], set(), set()
    while waiting:
        name = waiting.pop()
        if name in seen or not name.endswith(".fits"):
            continue
        seen.add(name)
        header = store.header(name, 0)
        classes.add(header.get("AWECLASS", "raw"))
        waiting += [file for _, _, file in inputs_in(header)]
    raw = {name for name in seen if name.startswith("Raw-")}

    assert len(raw) == 5 + 3 + 3
    assert {"Coadd", "RegriddedFrame", "WeightFrame", "ReducedFrame", "MasterFlatFrame", "BiasFrame", "raw"} <= classes


def test_a_coadd_says_what_its_pixels_are(undisturbed):
    coadd = undisturbed.all(Coadd)[0]
    header = header_of(undisturbed, coadd)

    assert header["BUNIT"] == "adu"
    assert header["ZEROPNT"] == coadd.zeropoint
    assert header["FILTER"] == "r"
    assert header["DATE-OBS"] == "2026-02-14T23:30:00.000"
    # a card has room for 15 digits
    corners = Wcs.from_header(header).footprint(coadd.naxis1, coadd.naxis2)
    assert np.allclose(corners, coadd.footprint, rtol=0, atol=1e-10)


def test_the_names_of_files_say_what_they_are(undisturbed):
    bias = undisturbed.all(BiasFrame)[0]

    assert bias.filename.startswith("Cal-default-SIMCAM--ccd1-BiasFrame-")
    assert bias.filename.endswith(f"{bias.sha256[:40]}.fits")
