"""The planes of a frame made elsewhere: image, weight as inverse variance, flags; checked against each other."""

import enum
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io.fits import Header

from awe.errors import BadFile, BadRequest
from awe.fits import image_names, open_planes, read_headers, read_image, verify
from awe.kernels.flags import PixelFlag
from awe.kernels.statistics import clipped_statistics

_WITH_HDU = re.compile(r"(?P<path>.+)\[(?P<hdu>\w+)\]")
_STRUCTURE = ("SIMPLE", "BITPIX", "NAXIS", "EXTEND", "COMMENT", "HISTORY", "", "CHECKSUM", "DATASUM")
SAMPLE = 1_000_000
"""Pixels on which the noise is compared with what the weights predict."""


class WeightKind(enum.StrEnum):
    """What a weight map made elsewhere holds."""

    WEIGHT = "weight"
    RELATIVE = "relative"
    VARIANCE = "variance"
    RMS = "rms"


@dataclass(frozen=True)
class ExternalPixels:
    """The planes as they will be stored, the header of the image, and what was found out about them."""

    planes: dict[str, np.ndarray]
    header: Header
    remarks: tuple[str, ...]
    noise_ratio: float | None
    """Noise of the sky divided by the noise that the weights predict; None without weights."""


def split_name(text: str | Path) -> tuple[Path, int | str | None]:
    """Return file and HDU of a name such as `stack.fits[1]` or `stack.fits[WHT]`.

    >>> split_name("stack.fits[WHT]")
    (PosixPath('stack.fits'), 'WHT')
    """
    found = _WITH_HDU.fullmatch(str(text))
    if found is None or Path(text).exists():
        return Path(text), None
    hdu = found["hdu"]
    return Path(found["path"]), int(hdu) if hdu.isdigit() else hdu


def read_external(path: Path, weight: Path | None, flags: Path | None, kind: WeightKind) -> ExternalPixels:
    """Read the planes; raise BadFile naming what does not fit."""
    image, header = _image(path)
    planes, remarks = {"IMAGE": image}, []
    bad = ~np.isfinite(image)
    if bad.all():
        raise BadFile(f"{path.name}: none of its pixels is a number")
    own = _own_planes(path)
    inverse = _weight(weight, image.shape, kind) if weight else own.get("WEIGHT")
    flagged = _flags(flags, image.shape, remarks) if flags else own.get("FLAGS")
    if flagged is not None or bad.any():
        flagged = np.zeros(image.shape, np.uint8) if flagged is None else flagged
        flagged[bad] |= np.uint8(PixelFlag.NO_DATA)
    ratio = None
    if inverse is not None:
        inverse[bad] = 0
        ratio = _noise_ratio(image, inverse)
        if kind is WeightKind.RELATIVE and weight and ratio:
            inverse /= np.float32(ratio**2)
            remarks.append(f"relative weights were divided by {ratio**2:.4g}, so that they are inverse variances")
            ratio = 1.0
        planes["WEIGHT"] = inverse
    if flagged is not None:
        planes["FLAGS"] = flagged
    if bad.any():
        remarks.append(f"{int(bad.sum())} pixels are no numbers")
    return ExternalPixels(planes, header, tuple(remarks), ratio)


def _image(path: Path) -> tuple[np.ndarray, Header]:
    problems = verify(path)
    if problems:
        raise BadFile(problems[0])
    image, header = read_image(path)
    if image.ndim != 2:
        raise BadFile(f"{path.name}: its image has {image.ndim} axes, a frame has two")
    first = read_headers(path)[0]
    for card in first.cards:  # what holds for the whole file often stands in the primary header only
        if card.keyword not in header and card.keyword not in _STRUCTURE:
            header.append(card)
    return image, header


def _own_planes(path: Path) -> dict[str, np.ndarray]:
    """Return the weight and flag planes that the file itself has under awe's own names."""
    named = image_names(path)
    planes = open_planes(path)
    found = {plane: planes.rows(plane) for plane in ("WEIGHT", "FLAGS") if plane in named}
    for plane, pixels in found.items():
        if pixels.shape != planes.shape or (plane == "FLAGS" and pixels.dtype != np.uint8):
            raise BadFile(f"{path.name}: its plane {plane} does not fit its image: give --weight and --flags")
    return found


def _plane(path: Path, shape: tuple[int, ...], what: str) -> np.ndarray:
    name, hdu = split_name(path)
    pixels, _ = read_image(name, hdu)
    if pixels.shape != shape:
        sizes = [f"{s[1]} x {s[0]}" for s in (pixels.shape, shape)]
        raise BadFile(f"the {what} {path.name} is {sizes[0]} pixels, the image {sizes[1]}: they must be of one size")
    return pixels


def _weight(path: Path, shape: tuple[int, ...], kind: WeightKind) -> np.ndarray:
    """Return inverse variances; 0 where a pixel is bad."""
    pixels = _plane(path, shape, "weight map")
    good = np.isfinite(pixels) & (pixels > 0)
    if (pixels < 0).any():
        raise BadFile(f"the weight map {path.name} has {int((pixels < 0).sum())} values below 0")
    if not good.any():
        raise BadFile(f"the weight map {path.name} has no pixel above 0")
    power = {WeightKind.VARIANCE: -1, WeightKind.RMS: -2}.get(kind, 1)
    inverse = np.zeros(shape, np.float32)
    inverse[good] = pixels[good].astype(np.float64) ** power
    return inverse


def _flags(path: Path, shape: tuple[int, ...], remarks: list[str]) -> np.ndarray:
    """Return flags: of a map made elsewhere, whose bits mean other things, each pixel that is not 0 has NO_DATA."""
    bad = _plane(path, shape, "flag map") != 0
    remarks.append(f"{int(bad.sum())} pixels flagged in {path.name} are flagged as NO_DATA here")
    return np.where(bad, np.uint8(PixelFlag.NO_DATA), np.uint8(0))


def _noise_ratio(image: np.ndarray, weight: np.ndarray) -> float | None:
    """Return the clipped noise of the image over what the weights predict, by differences of neighbours in rows.

    Neighbours of a regridded image are correlated, which makes the ratio too small: 0.5 to 0.9 is usual.
    """
    step = max(1, image.shape[0] * image.shape[1] // SAMPLE)
    a, b = image[::step, 1::2], image[::step, : image.shape[1] - 1 : 2]
    wa, wb = weight[::step, 1::2], weight[::step, : image.shape[1] - 1 : 2]
    b, wb = b[:, : a.shape[1]], wb[:, : wa.shape[1]]
    good = (wa > 0) & (wb > 0)
    if good.sum() < 100:
        return None
    pull = (a[good] - b[good]) / np.sqrt(1 / wa[good].astype(np.float64) + 1 / wb[good])
    return float(clipped_statistics(pull[None, :]).sigma) or None


def companion(path: Path, pattern: str | None, count: int, option: str) -> Path | None:
    """Return the map that belongs to an image: `{stem}` in its name stands for that of the image without suffix.

    A pattern without a folder is looked for beside the image.
    """
    if pattern is None:
        return None
    if "{stem}" not in pattern:
        if count > 1:
            raise BadRequest(f"{option} names one file for {count} images: write {{stem}} for the name of each image")
        return Path(pattern)
    stem = re.sub(r"\.(fits|fit|fts)(\.(fz|gz))?$|\.fz$", "", path.name, flags=re.IGNORECASE)
    filled = Path(pattern.replace("{stem}", stem))
    return filled if filled.parent != Path() else path.parent / filled
