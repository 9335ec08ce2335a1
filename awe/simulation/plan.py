"""What a simulated night holds: all sizes, counts and properties that can be chosen, and ready-made choices."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from math import ceil, sqrt
from typing import Any

from awe.simulation.bands import BANDS


def _choice(default: Any, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True)
class NightPlan:
    """Sizes, counts and properties of a simulated night; the `doc` of each field is in its metadata."""

    seed: int = _choice(2008, "same seed, same files")
    chip_shape: tuple[int, int] = _choice((1024, 768), "rows and columns of the image area of a chip")
    chips: int = _choice(4, "number of chips, laid out in a near square")
    filters: tuple[str, ...] = _choice(("g", "r"), f"filters, of {' '.join(BANDS)}")
    exposures: int = _choice(4, "dithered science exposures for each filter")
    biases: int = _choice(7, "bias exposures")
    twilights: int = _choice(5, "twilight flats for each filter")
    domes: int = _choice(0, "dome flats for each filter")
    darks: int = _choice(0, "dark exposures, as long as a science exposure")
    standards: int = _choice(0, "short exposures of a second field for each filter")
    exptime: float = _choice(120.0, "science exposure time (s)")
    night: str = _choice("2026-02-14", "date of the evening")
    ra: float = _choice(150.1, "right ascension of the field (deg)")
    dec: float = _choice(2.2, "declination of the field (deg)")
    pixel_scale: float = _choice(0.25, "arcsec per pixel at the optical axis")
    seeing: float = _choice(0.9, "median FWHM of the stars (arcsec)")
    stars: float = _choice(14.0, "stars per square arcmin brighter than r = 24")
    galaxies: float = _choice(24.0, "galaxies per square arcmin brighter than r = 24")
    reference_limit: float = _choice(20.5, "r magnitude of the faintest star of the reference catalogue")
    dither: float = _choice(15.0, "radius of the dither pattern (arcsec)")
    gap: int = _choice(40, "gap between chips (pixels)")
    pointing_error: float = _choice(3.0, "rms error of the header's pointing on each axis (arcsec)")
    distortion: float = _choice(0.002, "relative cubic distortion at the corner of the field")
    cosmics: float = _choice(0.5, "cosmic ray hits per second and million pixels")
    sky_follows_pixel_area: bool = _choice(
        True, "sky and twilight follow the solid angle of the pixels, as on a real sky; stars do not"
    )
    ramp: int = _choice(0, "exposure times of dome flats in pairs, for the linearity, in the first filter")
    nonlinearity: float = _choice(0.0, "part of the signal that is lost at the full well; in proportion to its square")
    crosstalk: float = _choice(0.0, "part of the signal of each chip that appears in the next one")
    fringes: float = _choice(0.0, "rms of the fringes of the night sky, relative to it")
    illumination: float = _choice(0.0, "relative gradient over the field of light that only flats and sky have")

    def __post_init__(self) -> None:
        """Refuse what can't be simulated."""
        refusals = [
            (min(self.chip_shape) < 64, f"chip_shape must be at least 64 x 64 pixels, got {self.chip_shape}"),
            (self.chips < 1, f"chips must be at least 1, got {self.chips}"),
            (not set(self.filters) <= set(BANDS), f"filters must be of {' '.join(BANDS)}, got {self.filters}"),
            (len(set(self.filters)) != len(self.filters), f"filters must differ, got {self.filters}"),
            (self.seeing < 2 * self.pixel_scale, f"seeing must be at least 2 pixels, got {self.seeing} arcsec"),
            (min(self.counts.values()) < 0, f"counts of exposures must not be negative, got {self.counts}"),
            (not self.exptime > 0, f"exptime must be positive, got {self.exptime}"),
            (
                max(abs(self.nonlinearity), abs(self.crosstalk), abs(self.fringes), abs(self.illumination)) > 0.2,
                "nonlinearity, crosstalk, fringes and illumination must be within 0.2",
            ),
            (abs(self.dec) > 80, f"dec must be within 80 deg of the equator, got {self.dec}"),
        ]
        for wrong, message in refusals:
            if wrong:
                raise ValueError(message)
        date.fromisoformat(self.night)

    @property
    def counts(self) -> dict[str, int]:
        """Number of exposures of each kind (of each filter, if the kind has one)."""
        names = ("biases", "darks", "domes", "twilights", "standards", "exposures", "ramp")
        return {name: getattr(self, name) for name in names}

    @property
    def columns(self) -> int:
        """Number of chips side by side."""
        return ceil(sqrt(self.chips))

    @property
    def field_shape(self) -> tuple[int, int]:
        """Rows and columns of the whole mosaic, in pixels."""
        ny, nx = self.chip_shape
        rows = ceil(self.chips / self.columns)
        return rows * (ny + self.gap) - self.gap, self.columns * (nx + self.gap) - self.gap

    @property
    def field_radius(self) -> float:
        """Distance of the corner of the mosaic from the optical axis, in degrees."""
        height, width = self.field_shape
        return sqrt(height**2 + width**2) / 2 * self.pixel_scale / 3600

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands in which magnitudes are known: the filters, and always g and r."""
        return tuple(band for band in BANDS if band in {*self.filters, "g", "r"})


def plan_from(values: Mapping[str, Any]) -> NightPlan:
    """Return the plan that was stored as JSON, in which tuples have become lists."""
    tuples = {f.name for f in fields(NightPlan) if isinstance(f.default, tuple)}
    given: dict[str, Any] = {name: tuple(value) if name in tuples else value for name, value in values.items()}
    return NightPlan(**given)


PRESETS: dict[str, NightPlan] = {
    "tiny": NightPlan(
        chip_shape=(256, 256), chips=2, filters=("r",), exposures=3, biases=5, twilights=3,
        stars=80.0, reference_limit=21.0, dither=5.0, gap=12,
    ),
    "small": NightPlan(
        chip_shape=(512, 384), chips=2, exposures=3, biases=5, twilights=3,
        stars=30.0, reference_limit=21.0, dither=10.0,
    ),
    "demo": NightPlan(),
    "large": NightPlan(chip_shape=(4096, 2048), stars=6.0, dither=30.0, gap=80),
}  # fmt: skip
"""Sizes to choose from: `tiny` for tests, `small`, `demo`, and `large` (chips of 8 million pixels)."""
