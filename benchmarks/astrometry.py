"""The astrometric solution of a mosaic camera's exposures, by awe and by SCAMP, from the same lists of sources."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from awe.kernels.choices import FocalPlane
from awe.kernels.field_recognition import Sighting, StarList, recognise_field
from awe.kernels.field_solution import Catalogue, Choices, Detected
from awe.kernels.global_astrometry import solve
from awe.kernels.plate_model import Plate
from awe.kernels.wcs import Wcs, separation
from benchmarks import ldac
from benchmarks.child import Work
from benchmarks.peers import program
from benchmarks.terapix import configure, options, solution

LIMIT = 22.5
"""r magnitude of the faintest star or galaxy of the reference catalogue, which has no errors."""
CLAIMED = 5e-6
"""Error (deg) that it claims."""
POINTING = 30.0
"""Error (arcsec) of the pointing that is allowed for."""
LEAST_SIGNAL = 10.0
FAINTEST = 21.7
"""Magnitude of a drawn source whose signal is the least."""
SIGMA, LEAST_ERROR = 1.5, 0.005
"""Of a star's image, and of a position, pixel."""


def prepare(folder: Path, chip: tuple[int, int], exposures: int) -> Work:
    """Simulate exposures, and find their sources."""
    return Work(lambda: prepared(folder, (chip[0], chip[1]), exposures), tell=lambda told: told, warm=False)


def prepared(folder: Path, chip: tuple[int, int], exposures: int) -> dict[str, Any]:
    """Write exp*.cat, reference.cat and truth.json; return what they hold."""
    from awe.simulation.projection import nominal_projection

    night = _Night(chip, exposures)
    found = 0
    for number, exposure in enumerate(night.taken):
        nominal = [nominal_projection(night.plan, n) for n in range(night.plan.chips)]
        told = [projection.pointed(exposure.ra, exposure.dec).cards() for projection in nominal]
        images = [_observed(night.plan, exposure, c, night.objects, [number, n]) for n, c in enumerate(night.chips)]
        found += _find(folder, f"exp{number}", night.cards(number), images, [fits.Header(card) for card in told])
    return {"sources": found, "reference stars": night.write(folder)}


def draw(folder: Path, chip: tuple[int, int], exposures: int) -> Work:
    """Draw the lists of sources of many exposures, without their images."""
    return Work(lambda: drawn(folder, (chip[0], chip[1]), exposures), tell=lambda told: told, warm=False)


def drawn(folder: Path, chip: tuple[int, int], exposures: int) -> dict[str, Any]:
    """Write the same files as `prepared`: the true places of what is brighter than `FAINTEST`, with normal errors."""
    from awe.simulation.projection import nominal_projection

    night = _Night(chip, exposures)
    bright = night.objects[night.objects["mag_r"] < FAINTEST]
    found = 0
    for number, exposure in enumerate(night.taken):
        lists = []
        for n, camera in enumerate(night.chips):
            told = nominal_projection(night.plan, n).pointed(exposure.ra, exposure.dec).cards()
            true = Wcs.from_header(camera.projection.pointed(exposure.true_ra, exposure.true_dec).cards())
            size = {"NAXIS": 2, "NAXIS1": chip[1], "NAXIS2": chip[0], "PCOUNT": 0, "GCOUNT": 1}
            header = fits.Header({"XTENSION": "IMAGE", "BITPIX": -32} | size | night.cards(number) | told)
            columns = _drawn(true, chip, bright, np.random.default_rng([night.plan.seed, 10, number, n]))
            lists.append((header.tostring(padding=False), columns))
            found += len(columns[0].array)
        ldac.write(folder / f"exp{number}.cat", lists)
    return {"sources": found, "reference stars": night.write(folder)}


def _drawn(true: Wcs, shape: tuple[int, int], objects: Any, rng: np.random.Generator) -> fits.ColDefs:
    """Return the columns that SCAMP wants of the objects on a chip."""
    x, y = true.to_pixel(objects["ra"], objects["dec"])
    on = (x > 5) & (x < shape[1] - 6) & (y > 5) & (y < shape[0] - 6)
    signal = LEAST_SIGNAL * 10 ** (0.4 * (FAINTEST - objects["mag_r"][on]))
    error = np.hypot(SIGMA / signal, LEAST_ERROR)
    found = np.column_stack([x[on] + 1, y[on] + 1]) + rng.normal(0, error, (2, len(error))).T
    columns = [
        ("NUMBER", "1J", np.arange(len(error)) + 1),
        ("XWIN_IMAGE", "1D", found[:, 0]), ("YWIN_IMAGE", "1D", found[:, 1]),
        ("ERRAWIN_IMAGE", "1E", error), ("ERRBWIN_IMAGE", "1E", error), ("ERRTHETAWIN_IMAGE", "1E", 0.0),
        ("FLUX_AUTO", "1E", 100 * signal), ("FLUXERR_AUTO", "1E", 100.0), ("FLUX_RADIUS", "1E", 1.2 * SIGMA),
        ("ELONGATION", "1E", 1.0), ("FLAGS", "1I", 0), ("SNR_WIN", "1E", signal),
    ]  # fmt: skip
    return fits.ColDefs([fits.Column(n, form, array=np.broadcast_to(v, len(error))) for n, form, v in columns])


class _Night:
    """The exposures of a field, and what is on the sky."""

    def __init__(self, chip: tuple[int, int], exposures: int) -> None:
        from awe.simulation import PRESETS
        from awe.simulation.camera import make_chip
        from awe.simulation.schedule import epoch, schedule
        from awe.simulation.sky import make_sky

        self.plan = replace(PRESETS["large"], chip_shape=chip, exposures=exposures, filters=("r",))
        self.objects = make_sky(self.plan, self.plan.ra, self.plan.dec, first_id=1, stream=0)
        self.chips = [make_chip(self.plan, number) for number in range(self.plan.chips)]
        self.taken = [exposure for exposure in schedule(self.plan) if exposure.obstype == "OBJECT"]
        self.epoch = epoch(self.plan)

    def cards(self, number: int) -> dict[str, Any]:
        """Return the cards of an exposure."""
        times = {"EXPTIME": self.taken[number].exptime, "MJD-OBS": 61000 + number / 400}
        return {"FILTER": "r", "INSTRUME": "simcam", **times}

    def write(self, folder: Path) -> int:
        """Write the reference catalogue and the truth; return the number of reference stars."""
        known = self.objects[self.objects["mag_r"] < LIMIT]
        place = folder / "reference.cat"
        ldac.write_reference(place, known["ra"], known["dec"], CLAIMED, known["mag_r"], 0.02, self.epoch)
        true = [[c.projection.pointed(e.true_ra, e.true_dec).cards() for c in self.chips] for e in self.taken]
        shape = self.plan.chip_shape
        (folder / "truth.json").write_text(json.dumps({"wcs": true, "shape": shape, "epoch": self.epoch}))
        return len(known)


def _observed(plan: Any, exposure: Any, camera: Any, objects: Any, stream: list[int]) -> tuple[Any, Any]:
    """Return a flatfielded image and its weight: noise of sky, stars and reading, no defects."""
    from awe.simulation.night import light

    rng = np.random.default_rng([plan.seed, 9, *stream])
    electrons, response = light(plan, exposure, camera, objects), camera.throughput[exposure.filter]
    noisy = rng.poisson(electrons) + rng.standard_normal(camera.shape, np.float32) * camera.read_noise
    variance = (np.median(electrons) + camera.read_noise**2) / camera.gain**2
    return (noisy / camera.gain / response).astype(np.float32), (response**2 / variance).astype(np.float32)


def _find(
    folder: Path, name: str, cards: dict[str, Any], images: list[tuple[Any, Any]], headers: list[fits.Header]
) -> int:
    """Write the catalogue of an exposure, by SExtractor where it is installed; return the number of sources."""
    extract = program("source-extractor", "sex")
    if extract is None:
        found = [
            (header.tostring(padding=False), _columns(*planes)) for planes, header in zip(images, headers, strict=True)
        ]
        ldac.write(folder / f"{name}.cat", found)
        return sum(len(columns[0].array) for _, columns in found)
    configure(folder, extract)
    for kind in (0, 1):
        hdus = [fits.PrimaryHDU(header=fits.Header(cards))]
        hdus += [fits.ImageHDU(planes[kind], header) for planes, header in zip(images, headers, strict=True)]
        fits.HDUList(hdus).writeto(folder / f"{name}{('', '.weight')[kind]}.fits", overwrite=True)
    wanted = {
        "c": "default.sex", "PARAMETERS_NAME": "scamp.param", "FILTER_NAME": "pyramid.conv",
        "CATALOG_TYPE": "FITS_LDAC", "CATALOG_NAME": f"{name}.cat",
        "WEIGHT_TYPE": "MAP_WEIGHT", "WEIGHT_IMAGE": f"{name}.weight.fits",
        "DETECT_THRESH": 3, "ANALYSIS_THRESH": 3, "BACK_SIZE": 64, "GAIN": 1.5, "VERBOSE_TYPE": "QUIET",
    }  # fmt: skip
    subprocess.run([extract, f"{name}.fits", *options(wanted)], cwd=folder, check=True, capture_output=True)  # noqa: S603
    for end in ("", ".weight"):
        (folder / f"{name}{end}.fits").unlink()
    return sum(len(rows) for _, rows in ldac.read(folder / f"{name}.cat"))


def _columns(image: Any, weight: Any) -> fits.ColDefs:
    """Return the sources of an image under SExtractor's names, as awe finds them."""
    from awe.kernels.background import background_map
    from awe.kernels.detection import detect

    rows = detect(
        image, weight, background=background_map(image, weight=weight, cell=64).level, threshold=3.0, gain=1.5
    )
    signal = rows["FLUX_AUTO"] / rows["FLUXERR_AUTO"]
    columns = (
        *(rows[name] + 1 for name in ("XWIN_IMAGE", "YWIN_IMAGE")),
        *(rows[name] for name in ("ERRXWIN_IMAGE", "ERRYWIN_IMAGE", "FLUX_AUTO")),
        *(signal, rows["FLAGS"]),
    )
    named = zip(ldac.NEEDED, columns, strict=True)
    return fits.ColDefs([fits.Column(name, "1D", array=np.asarray(values, float)) for name, values in named])


def awe(folder: Path, lists: str = ".") -> Work:
    """Recognise the stars of all chips, and solve all exposures together, whose files are in a folder in the folder."""
    folder /= lists
    exposures, (ny, nx) = len(_truth(folder)["wcs"]), _truth(folder)["shape"]

    def call() -> Any:
        ((_, stars),) = ldac.read(folder / "reference.cat")
        ra, dec, magnitude, error = (np.asarray(stars[n], float) for n in ("X_WORLD", "Y_WORLD", "MAG", "ERRA_WORLD"))
        none = np.zeros(len(ra))
        catalogue = Catalogue(ra, dec, error * 3600, none, none, none, float(stars["OBSDATE"][0]))
        seen, detected = [], []
        for number in range(exposures):
            for chip, (header, rows) in enumerate(ldac.read(folder / f"exp{number}.cat")):
                good = rows[(rows["FLAGS"] < 4) & (rows["SNR_WIN"] > LEAST_SIGNAL)]  # not saturated
                x, y = (np.asarray(good[name], float) - 1 for name in ("XWIN_IMAGE", "YWIN_IMAGE"))
                errors = np.hypot(good["ERRAWIN_IMAGE"], good["ERRBWIN_IMAGE"]) / np.sqrt(2)
                told, flux = Wcs.from_header(header), np.asarray(good["FLUX_AUTO"], float)
                seen.append(Sighting(number, chip, told, nx, ny, x, y, flux))
                detected.append(Detected(x, y, np.asarray(errors, float)))
        places = recognise_field(seen, StarList(ra, dec, magnitude), (POINTING,), tolerance=5.0)
        plates = [
            Plate(s.exposure, s.chip, place or s.prior, nx, ny, place is not None)
            for s, place in zip(seen, places, strict=True)
        ]
        epochs = [catalogue.epoch] * exposures
        return solve(plates, detected, epochs, catalogue, Choices(focal_plane=FocalPlane.FIXED))

    return Work(call, _sources(folder), "source", lambda s: _told(folder, [p.wcs for p in s.plates]))


def scamp(folder: Path, lists: str = ".") -> Work:
    """Match and solve by SCAMP, with its best set-up."""
    folder /= lists
    path = program("scamp")
    assert path is not None
    exposures = len(_truth(folder)["wcs"])
    words = [f"exp{number}.cat" for number in range(exposures)]

    def call() -> None:
        given = options(solution(folder / "reference.cat"))
        subprocess.run([path, *words, *given], cwd=folder, check=True, capture_output=True)  # noqa: S603

    def tell(_: Any) -> dict[str, Any]:
        found = []
        for number in range(exposures):
            for text in (folder / f"exp{number}.head").read_text(errors="replace").split("END     \n")[:-1]:
                lines = [line for line in text.splitlines() if not line.startswith(("HISTORY", "COMMENT"))]
                found.append(Wcs.from_header(fits.Header.fromstring("\n".join(lines), sep="\n")))
        return _told(folder, found)

    return Work(call, _sources(folder), "source", tell, warm=False, external=True)


def _truth(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "truth.json").read_text())
    return found


def _sources(folder: Path) -> float:
    return float(sum(len(rows) for path in sorted(folder.glob("exp*.cat")) for _, rows in ldac.read(path)))


def _told(folder: Path, solved: list[Wcs]) -> dict[str, Any]:
    """Return the distance (rms of a coordinate) of the coordinates from the truth, over each chip."""
    truth = _truth(folder)
    ny, nx = truth["shape"]
    x, y = np.meshgrid(np.linspace(0, nx - 1, 20), np.linspace(0, ny - 1, 40))
    true = [Wcs.from_header(cards) for exposure in truth["wcs"] for cards in exposure]
    distances = [separation(*s.to_sky(x, y), *t.to_sky(x, y)) * 3.6e9 for s, t in zip(solved, true, strict=True)]
    rms = [float(np.sqrt(np.mean(d**2) / 2)) for d in distances]
    return {"µas off the truth (median chip)": round(np.median(rms)), "µas off (worst chip)": round(max(rms))}
