"""Colour pictures of three frames: pixels on one grid, levels, and the file with its place on the sky."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from awe.errors import BadRequest, NotFound
from awe.kernels.pixel_mesh import pixel_mesh
from awe.kernels.resample import Kernel, overlap_region, resample
from awe.kernels.rgb import lupton_rgb, plain_rgb
from awe.kernels.sections import Section
from awe.kernels.stretch import Stretch
from awe.services.avm import PictureGrid, avm_packet
from awe.services.encoding import encode
from awe.services.image_pixels import read_section
from awe.services.image_request import least_bin
from awe.services.journal import Journal
from awe.services.pyramids import TILE, Pyramids, last_level, level_shape
from awe.services.rgb_frames import Band
from awe.services.rgb_levels import UNSEEN, Levels, levels_of, needs_skies, skies_of
from awe.services.rgb_request import COLOURS, RgbRequest
from awe.services.stored_frames import Plane, StoredFrame
from awe.store import Store

VERSION = 1
"""Goes up when the same address gives other bytes than before."""
KERNEL = Kernel.LANCZOS3
MARGIN = 4
"""Pixels of a frame around those of the picture that the interpolation looks at."""

Bands = tuple[Band, Band, Band]


@dataclass(frozen=True)
class Scene:
    """Three frames, the grid and part of it that is shown, and the levels: all that a picture depends on."""

    bands: Bands
    request: RgbRequest
    region: Section
    binning: int
    levels: Levels

    @property
    def reference(self) -> Band:
        """The frame whose pixels the picture has."""
        return self.bands[_reference(self.request)]

    @property
    def grid(self) -> PictureGrid:
        """The pixels of the picture on the sky."""
        nx, ny = (-(-length // self.binning) for length in (self.region.width, self.region.height))
        return PictureGrid(self.reference.wcs, self.region.x0, self.region.y0, self.binning, nx, ny)

    @property
    def title(self) -> str:
        """What it shows, in words."""
        named = [band.frame.filter or band.frame.label for band in self.bands]
        return f"{self.reference.frame.object or self.reference.frame.label} in {', '.join(named)}".strip()

    def described(self) -> dict[str, Any]:
        """Return what the picture is made of, as JSON holds it."""
        levels, grid = self.levels, self.grid
        frames = [
            {
                "colour": colour,
                "object_id": band.object_id,
                "label": band.frame.label,
                "filename": band.frame.filename,
                "filter": band.frame.filter,
                "zeropoint": band.zeropoint,
                "unit": band.frame.unit,
                "black": black,
                "white": white,
                "scale": scale,
            }
            for colour, band, black, white, scale in zip(
                COLOURS, self.bands, levels.black, levels.white, levels.scale, strict=True
            )
        ]
        return {
            "title": self.title,
            "width": grid.nx,
            "height": grid.ny,
            "section": str(self.region),
            "bin": self.binning,
            "reference": self.reference.object_id,
            "nx": self.reference.frame.nx,
            "ny": self.reference.frame.ny,
            "tile": TILE,
            "last_level": last_level(self.reference.frame),
            "pixel_scale": float(self.reference.wcs.scale) * self.binning,
            "mode": self.request.mode,
            "stretch": levels.stretch,
            "q": self.request.q,
            "balance": levels.balance,
            "frames": frames,
        }


def scene_of(store: Store, bands: Bands, request: RgbRequest, whole: bool = False, binned: bool = False) -> Scene:
    """Return what is shown; raise BadRequest for what can't be.

    With `whole` it is all of the grid however large; with `binned`, what would be too large is binned.
    """
    reference = bands[_reference(request)]
    _check_overlap(bands, reference)
    image = replace(reference.frame, solved=reference.wcs)
    if whole:
        region, binning = Section(0, image.nx, 0, image.ny), 1
    else:
        region = _shown_region(bands, image, request)
        if binned and request.bin is None and request.fit is None and least_bin(region) > 1:
            request = replace(request, bin=least_bin(region))
        binning = request.section.binning(region)
    skies = skies_of(store, bands) if needs_skies(bands, request) else [UNSEEN] * 3
    red, green, blue = (_area(band, reference) for band in bands)
    return Scene(bands, request, region, binning, levels_of(bands, skies, request, (red, green, blue)))


def _shown_region(bands: Bands, image: StoredFrame, request: RgbRequest) -> Section:
    return _common(bands) if request.grid == "common" and request.is_whole else request.section.region(image)


def _reference(request: RgbRequest) -> int:
    return COLOURS.index(request.grid) if request.grid in COLOURS else 0


def _area(band: Band, reference: Band) -> float:
    """Return the size of a pixel of the grid in pixels of a frame; 1 for frames on the grid itself."""
    return 1.0 if _on_grid(band, reference) else float(reference.wcs.scale / band.wcs.scale) ** 2


def _on_grid(band: Band, reference: Band) -> bool:
    """Return whether a frame has the very pixels of the grid, but for the digits of its header."""
    if (band.frame.nx, band.frame.ny) != (reference.frame.nx, reference.frame.ny):
        return False
    if band.wcs == reference.wcs:
        return True
    nx, ny = band.frame.nx, band.frame.ny
    x, y = np.array([0.0, nx - 1, 0, nx - 1, nx / 2]), np.array([0.0, 0, ny - 1, ny - 1, ny / 2])
    there_x, there_y = reference.wcs.to_pixel(*band.wcs.to_sky(x, y))
    return bool(np.all(np.hypot(there_x - x, there_y - y) < 1e-3))


def _check_overlap(bands: Bands, reference: Band) -> None:
    shape = reference.frame.ny, reference.frame.nx
    for band in bands:
        if _on_grid(band, reference):
            continue
        if overlap_region(band.wcs, (band.frame.ny, band.frame.nx), reference.wcs, shape) is None:
            raise BadRequest(f"{reference.frame.label} and {band.frame.label} have no part of the sky in common")


def _common(bands: Bands) -> Section:
    """Return the smallest rectangle of the red frame that holds all that the three frames have in common."""
    shape = bands[0].frame.ny, bands[0].frame.nx
    region = Section.whole(shape)
    for band in bands[1:]:
        part = overlap_region(band.wcs, (band.frame.ny, band.frame.nx), bands[0].wcs, shape)
        common = region.common(part) if part else None
        if common is None:
            raise BadRequest(f"{bands[0].frame.label} and {band.frame.label} have no part of the sky in common")
        region = common
    return region


def make_tile(pyramids: Pyramids, scene: Scene, level: int, column: int, row: int, form: str) -> bytes:
    """Return a tile as the viewer counts them: of 2 to the power of the level pixels binned, from the top left."""
    image, side = scene.reference.frame, 1 << level
    height, width = level_shape(image, level)
    columns, rows = ((TILE * n, min(TILE * (n + 1), most)) for n, most in ((column, width), (row, height)))
    y1 = image.ny - rows[0] * side
    # blocks begin at the top left: those at the far edges reach beyond the image, where there is nothing
    region = Section(columns[0] * side, columns[1] * side, y1 - (rows[1] - rows[0]) * side, y1)
    part = replace(scene, region=region, binning=side)
    overviews = {
        b.object_id: pyramids.prepare(b.frame, Plane.IMAGE, level) for b in scene.bands if _on_grid(b, scene.reference)
    }

    def pixels(band: Band) -> np.ndarray:
        if band.object_id not in overviews:
            return band_pixels(pyramids.store, part, band)
        return pyramids.tile(band.frame, Plane.IMAGE, level, column, row, overviews[band.object_id])

    with ThreadPoolExecutor(3) as pool:
        red, green, blue = pool.map(pixels, part.bands)
    return encode(_drawn((red, green, blue), part), form)


def check_tile(scene: Scene, level: int, column: int, row: int) -> None:
    """Raise NotFound for a tile that there is not."""
    image = scene.reference.frame
    if not 0 <= level <= last_level(image):
        raise NotFound(f"no level {level} of {image.label}; its levels are 0 to {last_level(image)}")
    height, width = level_shape(image, level)
    across, down = -(-width // TILE), -(-height // TILE)
    if not (0 <= column < across and 0 <= row < down):
        raise NotFound(f"no tile {column}_{row} of level {level} of {image.label}, which has {across} x {down} tiles")


def make_rgb(store: Store, scene: Scene, form: str, creator: str, journal: Journal) -> bytes:
    """Return a colour picture as a file: png, jpg or tif."""
    with journal.step("read", "pixels of the three frames, on one grid"), ThreadPoolExecutor(3) as pool:
        planes = list(pool.map(lambda band: band_pixels(store, scene, band), scene.bands))
    red, green, blue = planes
    with journal.step("colour", f"levels to colours, {scene.request.mode}"):
        drawn = _drawn((red, green, blue), scene)
    with journal.step("encode", f"to {form}"):
        names = tuple(band.frame.filter or band.frame.label for band in scene.bands)
        packet = avm_packet(scene.grid, scene.title, creator, description_of(scene), (names[0], names[1], names[2]))
        return encode(drawn, form, packet)


def description_of(scene: Scene) -> str:
    """Return how a picture was made, in words."""
    frames = "; ".join(f"{c} {b.frame.label}" for c, b in zip(COLOURS, scene.bands, strict=True))
    scales = ", ".join(f"{s:.4g}" for s in scene.levels.scale)
    how = f"Q {scene.request.q:g}, stretch {scene.levels.stretch:.4g}" if scene.request.mode == "lupton" else ""
    return f"{frames}; {scene.request.mode} {how}; scales {scales} by {scene.levels.balance}".replace(" ;", ";")


def _drawn(planes: tuple[np.ndarray, np.ndarray, np.ndarray], scene: Scene) -> np.ndarray:
    levels, request = scene.levels, scene.request
    if request.mode == "lupton":
        return lupton_rgb(planes, levels.black, levels.scale, levels.stretch, request.q)
    return plain_rgb(planes, levels.black, levels.white, Stretch(request.mode))


def band_pixels(store: Store, scene: Scene, band: Band) -> np.ndarray:
    """Return the pixels of a frame on the grid of a picture, averaged over its blocks; NaN where there are none."""
    if _on_grid(band, scene.reference):
        _fetch_whole(store, band, scene.region, scene.binning)
        return read_section(store, band.frame, Plane.IMAGE, scene.region, scene.binning)
    return _regridded(store, scene, band)


def _regridded(store: Store, scene: Scene, band: Band) -> np.ndarray:
    """Return a frame on the grid; where the picture is smaller, of the frame made smaller by as much."""
    grid = scene.grid
    out = np.full((grid.ny, grid.nx), np.nan, np.float32)
    factor = max(1, round(scene.binning * scene.reference.wcs.scale / band.wcs.scale))
    part = _part(band, grid, factor)
    if part is None:
        return out
    _fetch_whole(store, band, part, factor)
    image = read_section(store, band.frame, Plane.IMAGE, part, factor)
    ny, nx = image.shape
    source: Any = PictureGrid(band.wcs, part.x0, part.y0, factor, nx, ny)
    target: Any = grid
    mesh = pixel_mesh(source, target, Section(0, grid.nx, 0, grid.ny))
    good = np.isfinite(image).astype(np.float32)
    found = resample(image, good, None, mesh, KERNEL, flux_scale=(factor / scene.binning) ** 2)
    np.copyto(out, found.image, where=found.weight > 0)
    return out


def _part(band: Band, grid: PictureGrid, factor: int) -> Section | None:
    """Return the part of a frame that a picture shows, with a margin, in whole blocks; None if it shows nothing."""
    along = np.linspace(-0.5, 0.5, 33)
    x, y = (v.ravel() for v in np.meshgrid((along + 0.5) * grid.nx - 0.5, (along + 0.5) * grid.ny - 0.5))
    x, y = band.wcs.to_pixel(*grid.to_sky(x, y))
    seen = np.isfinite(x) & np.isfinite(y)
    if not seen.any():
        return None
    edges = []
    for values, length in ((x[seen], band.frame.nx), (y[seen], band.frame.ny)):
        low = max(0, int(values.min()) - MARGIN * factor) // factor * factor
        edges += [low, min(length, int(values.max()) + 2 + MARGIN * factor)]
    x0, x1, y0, y1 = edges
    return Section(x0, x1, y0, y1) if x0 < x1 and y0 < y1 else None


def _fetch_whole(store: Store, band: Band, region: Section, binning: int) -> None:
    """Keep the whole file of a frame if most of it is looked at: every further picture then needs no data server."""
    image = band.frame
    part = region.within(image.nx, image.ny)
    if part is not None and binning == 1 and part.size * 2 > image.nx * image.ny:
        store.retrieve(image.filename, image.content if len(image.content) == 64 else None)
