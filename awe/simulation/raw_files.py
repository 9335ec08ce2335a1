"""Raw files of the simulated camera: one extension for each chip, headers as a telescope would write them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from awe.simulation.camera import OVERSCAN, SATURATION, Chip
from awe.simulation.plan import NightPlan
from awe.simulation.projection import nominal_projection
from awe.simulation.schedule import Exposure


def write_raw(
    path: Path, plan: NightPlan, exposure: Exposure, chips: Sequence[Chip], images: Sequence[NDArray[np.uint16]]
) -> None:
    """Write one exposure with checksums; the same exposure gives the same bytes."""
    hdus = fits.HDUList([fits.PrimaryHDU(header=_exposure_header(plan, exposure))])
    for number, (chip, image) in enumerate(zip(chips, images, strict=True)):
        hdus.append(fits.ImageHDU(image, header=_chip_header(plan, exposure, chip, number)))
    hdus[0].header["EXTEND"] = True
    hdus[0].header["NEXTEND"] = len(chips), "number of extensions"
    for hdu in hdus:
        # astropy would note the time of now in the comment, and no two files would be alike
        hdu.add_checksum(when="as written by the simulation")
    hdus.writeto(path)


def _exposure_header(plan: NightPlan, exposure: Exposure) -> fits.Header:
    date = exposure.start.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    cards = [
        ("TELESCOP", "SIMTEL", "simulated telescope"),
        ("INSTRUME", "SIMCAM", "simulated camera"),
        ("DETECTOR", "SIMCAM", "simulated camera"),
        ("OBSTYPE", exposure.obstype, "kind of exposure"),
        ("OBJECT", exposure.object, "name of the field"),
        ("FILTER", exposure.filter or "NONE", "filter in the beam"),
        ("EXPTIME", exposure.exptime, "[s] exposure time"),
        ("DATE-OBS", date, "start of the exposure, UTC"),
        ("TIMESYS", "UTC", "time scale"),
        ("RA", exposure.ra, "[deg] pointing"),
        ("DEC", exposure.dec, "[deg] pointing"),
        ("PROGRAM", "SIM-001", "observing programme"),
        ("OBSBLOCK", f"{exposure.object}-{exposure.filter or 'NONE'}", "observing block"),
        ("OBSERVER", "simulation", "who observed"),
        ("NCHIPS", plan.chips, "number of chips"),
    ]
    if exposure.airmass is not None:
        cards.append(("AIRMASS", round(exposure.airmass, 4), "at the middle of the exposure"))
    return fits.Header(cards)


def _chip_header(plan: NightPlan, exposure: Exposure, chip: Chip, number: int) -> fits.Header:
    ny, nx = chip.shape
    header = fits.Header([
        ("EXTNAME", chip.name, "chip"),
        ("GAIN", chip.gain, "[electron/adu] gain"),
        ("RDNOISE", chip.read_noise, "[electron] read noise"),
        ("SATURATE", SATURATION, "[adu] saturation level"),
        ("DATASEC", f"[1:{nx},1:{ny}]", "image area"),
        ("BIASSEC", f"[{nx + 1}:{nx + OVERSCAN},1:{ny}]", "overscan"),
        ("PIXSCALE", plan.pixel_scale, "[arcsec] pixel scale"),
        ("BUNIT", "adu", "unit of the pixels"),
    ])  # fmt: skip
    if exposure.on_sky:
        header.update(nominal_projection(plan, number).pointed(exposure.ra, exposure.dec).cards())
    return header
