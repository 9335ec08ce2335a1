"""What is true of a simulated night, written beside the raw files, to measure completeness and errors against."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from awe.kernels.flags import PixelFlag
from awe.simulation.bands import BANDS
from awe.simulation.camera import Chip
from awe.simulation.plan import NightPlan, plan_from
from awe.simulation.projection import FloatArray, Projection, true_projection
from awe.simulation.schedule import Exposure

SUMMARY, OBJECTS, REFERENCE = "truth.json", "truth.fits", "reference_catalogue.fits"
CHIPS, PIXELS = "truth_chips.fits", "truth_pixels.fits"
PIXEL_COLUMNS = [("exposure", "i2"), ("chip", "i2"), ("y", "i2"), ("x", "i2"), ("flag", "u1"), ("charge", "f4")]
UNITS = {
    "ra": "deg", "dec": "deg", "pmra": "mas/yr", "pmdec": "mas/yr", "ra_error": "mas", "dec_error": "mas",
    "epoch": "yr", "half_light_radius": "arcsec", "position_angle": "deg", "charge": "adu",
}  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """The truth of one night. Exposures are named by their file name, chips by their extension name.

    Pixel positions and maps are those of the image area (the overscan lies to the right of it), (0, 0) being the
    centre of the first pixel.
    """

    folder: Path
    summary: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path) -> "Truth":
        """Read the truth of the night in a folder."""
        return cls(folder, json.loads((folder / SUMMARY).read_text()))

    @cached_property
    def plan(self) -> NightPlan:
        """The plan from which the night was made."""
        return plan_from(self.summary["plan"])

    @cached_property
    def objects(self) -> NDArray[np.void]:
        """All stars and galaxies (columns: see `make_sky`)."""
        return _table(self.folder / OBJECTS)

    @cached_property
    def reference(self) -> NDArray[np.void]:
        """The reference catalogue, with its errors (columns: see `reference_catalogue`)."""
        return _table(self.folder / REFERENCE)

    @property
    def chips(self) -> tuple[str, ...]:
        """Names of the chips."""
        return tuple(self.summary["chips"])

    @property
    def exposures(self) -> Mapping[str, Mapping[str, Any]]:
        """File name -> obstype, object, filter, exptime, seeing, transparency, throughput, level ..."""
        return dict(self.summary["exposures"])

    def projection(self, file: str, chip: str) -> Projection:
        """Return the true projection of a chip in an exposure."""
        exposure = self.exposures[file]
        return true_projection(self.plan, self.chips.index(chip)).pointed(exposure["true_ra"], exposure["true_dec"])

    def wcs(self, file: str, chip: str) -> dict[str, str | float]:
        """Return the header cards (TPV) of that projection."""
        return self.projection(file, chip).cards()

    def positions(self, file: str, chip: str) -> tuple[FloatArray, FloatArray]:
        """Return x, y of all objects (in their order, also of those outside) on a chip in an exposure."""
        return self.projection(file, chip).to_pixel(self.objects["ra"], self.objects["dec"])

    def fluxes(self, file: str, chip: str) -> FloatArray:
        """Return the adu/s of all objects in a flatfielded frame, per pixel of the size at the optical axis."""
        exposure = self.exposures[file]
        response = self.summary["chips"][chip]["response"]
        return np.asarray(self.objects[f"flux_{exposure['filter']}"] * exposure["throughput"] * response)

    def zeropoint(self, file: str, chip: str) -> float:
        """Return the magnitude of 1 adu/s in a flatfielded frame."""
        exposure = self.exposures[file]
        factor = exposure["throughput"] * self.summary["chips"][chip]["response"]
        return float(self.summary["zeropoints"][exposure["filter"]] + 2.5 * np.log10(factor))

    def defects(self, chip: str) -> NDArray[np.uint8]:
        """Return the flag map of a chip: `PixelFlag` HOT and COLD."""
        return self._map(f"{chip}_FLAGS")

    def bias(self, chip: str) -> NDArray[np.float32]:
        """Return the bias structure of a chip above its overscan level, hot pixels included (adu)."""
        return self._map(f"{chip}_BIAS")

    def flat(self, chip: str, filter_name: str) -> NDArray[np.float32]:
        """Return the response of a chip to an even sky, of median 1."""
        return self._map(f"{chip}_FLAT_{filter_name}")

    def pixels(self, file: str, chip: str, flag: PixelFlag, least_charge: float = 0.0) -> NDArray[np.bool_]:
        """Return the mask of the pixels hit by cosmic rays (COSMIC), or full or bled into (SATURATED), in an exposure.

        Only those where the cosmic ray left at least `least_charge` (adu), or which hold as much; the last pixel
        of a trail is not full.
        """
        charge = self.charge(file, chip, flag)
        return (charge > 0) & (charge >= least_charge)

    def charge(self, file: str, chip: str, flag: PixelFlag) -> NDArray[np.float32]:
        """Return the charge (adu) that cosmic rays left in each pixel (COSMIC), or full pixels hold (SATURATED)."""
        exposure, number = list(self.exposures).index(file), self.chips.index(chip)
        rows = self._pixels
        rows = rows[(rows["exposure"] == exposure) & (rows["chip"] == number) & (rows["flag"] == int(flag))]
        charge = np.zeros(self.plan.chip_shape, np.float32)
        charge[rows["y"], rows["x"]] = rows["charge"]
        return charge

    @cached_property
    def _pixels(self) -> NDArray[np.void]:
        return _table(self.folder / PIXELS)

    def _map(self, name: str) -> NDArray[Any]:
        with fits.open(self.folder / CHIPS, memmap=False) as hdus:
            image = hdus[name].data
            return np.asarray(image, image.dtype.newbyteorder("="))


def write_truth(
    folder: Path,
    plan: NightPlan,
    exposures: Sequence[Exposure],
    chips: Sequence[Chip],
    objects: NDArray[np.void],
    reference: NDArray[np.void],
    pixels: Iterable[NDArray[np.void]],
) -> None:
    """Write the truth of a night; the summary comes last, so that it marks a complete night."""
    write_table(folder / OBJECTS, objects, "OBJECTS")
    write_table(folder / REFERENCE, reference, "REFERENCE")
    write_table(folder / PIXELS, np.concatenate([np.zeros(0, PIXEL_COLUMNS), *pixels]), "PIXELS")
    _write_maps(folder / CHIPS, chips)
    summary = {
        "plan": asdict(plan),
        "zeropoints": {band: BANDS[band].zeropoint for band in plan.filters},
        "chips": {chip.name: _facts(chip) for chip in chips},
        "exposures": {exposure.filename: _entry(exposure, chips) for exposure in exposures},
    }
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")


def pixel_rows(
    exposure: int, chip: int, flag: PixelFlag, y: NDArray[Any], x: NDArray[Any], charge: NDArray[Any] | float
) -> NDArray[np.void]:
    """Return rows of the table of pixels: `flag` holds at (x, y); charge in adu."""
    rows = np.zeros(len(y), PIXEL_COLUMNS)
    rows["exposure"], rows["chip"], rows["flag"] = exposure, chip, int(flag)
    rows["y"], rows["x"], rows["charge"] = y, x, charge
    return rows


def write_table(path: Path, rows: NDArray[np.void], name: str) -> None:
    """Write a table, with the units of its columns."""
    table = fits.BinTableHDU(rows, name=name)
    for column in table.columns:
        unit = "mag" if column.name.startswith("mag_") else "adu/s" if column.name.startswith("flux_") else None
        if unit := UNITS.get(column.name, unit):
            column.unit = unit
    table.writeto(path)


def _write_maps(path: Path, chips: Sequence[Chip]) -> None:
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for chip in chips:
        hdus.append(fits.ImageHDU(chip.flags, name=f"{chip.name}_FLAGS"))
        hdus.append(fits.ImageHDU(chip.bias, name=f"{chip.name}_BIAS"))
        hdus.extend(fits.ImageHDU(flat, name=f"{chip.name}_FLAT_{band}") for band, flat in chip.flat.items())
    hdus.writeto(path)


def _facts(chip: Chip) -> dict[str, Any]:
    names = ("gain", "read_noise", "response", "bias_level")
    return {name: getattr(chip, name) for name in names}


def _entry(exposure: Exposure, chips: Sequence[Chip]) -> dict[str, Any]:
    entry = asdict(exposure) | {"start": exposure.start.isoformat(), "throughput": exposure.throughput}
    if exposure.on_sky:
        pointed = {chip.name: chip.projection.pointed(exposure.true_ra, exposure.true_dec) for chip in chips}
        entry["wcs"] = {name: projection.cards() for name, projection in pointed.items()}
    return entry


def _table(path: Path) -> NDArray[np.void]:
    """Read a table in the byte order of this machine."""
    with fits.open(path, memmap=False) as hdus:
        rows = hdus[1].data
        columns = [(name, rows.dtype[name].newbyteorder("=")) for name in rows.dtype.names]
        table = np.zeros(len(rows), columns)
        for name, _ in columns:
            table[name] = rows[name]
        return table
