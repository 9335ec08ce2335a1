"""The astrometric solution of a mosaic camera's exposures, by awe and by SCAMP, from the same lists of sources."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from awe.kernels.astrometry import recognise
from awe.kernels.choices import FocalPlane
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


def prepare(folder: Path, chip: tuple[int, int], exposures: int) -> Work:
    """Simulate exposures, and find their sources."""
    return Work(lambda: prepared(folder, (chip[0], chip[1]), exposures), tell=lambda told: told, warm=False)


def prepared(folder: Path, chip: tuple[int, int], exposures: int) -> dict[str, Any]:
    """Write exp*.cat, reference.cat and truth.json; return what they hold."""
    from awe.simulation import PRESETS
    from awe.simulation.camera import make_chip
    from awe.simulation.projection import nominal_projection
    from awe.simulation.schedule import epoch, schedule
    from awe.simulation.sky import make_sky

    plan = replace(PRESETS["large"], chip_shape=chip, exposures=exposures, filters=("r",))
    objects = make_sky(plan, plan.ra, plan.dec, first_id=1, stream=0)
    chips = [make_chip(plan, number) for number in range(plan.chips)]
    taken = [exposure for exposure in schedule(plan) if exposure.obstype == "OBJECT"]
    found = 0
    for number, exposure in enumerate(taken):
        told = [nominal_projection(plan, c).pointed(exposure.ra, exposure.dec).cards() for c in range(plan.chips)]
        images = [_observed(plan, exposure, camera, objects, [number, c]) for c, camera in enumerate(chips)]
        cards = {"FILTER": "r", "EXPTIME": exposure.exptime, "MJD-OBS": 61000 + number / 400, "INSTRUME": "simcam"}
        found += _find(folder, f"exp{number}", cards, images, [fits.Header(card) for card in told])
    known = objects[objects["mag_r"] < LIMIT]
    place = folder / "reference.cat"
    ldac.write_reference(place, known["ra"], known["dec"], CLAIMED, known["mag_r"], 0.02, epoch(plan))
    true = [[c.projection.pointed(e.true_ra, e.true_dec).cards() for c in chips] for e in taken]
    (folder / "truth.json").write_text(json.dumps({"wcs": true, "shape": chip, "epoch": epoch(plan)}))
    return {"sources": found, "reference stars": len(known)}


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


def awe(folder: Path) -> Work:
    """Recognise the stars of each chip, and solve all exposures together."""
    exposures = len(_truth(folder)["wcs"])

    def call() -> Any:
        ((_, stars),) = ldac.read(folder / "reference.cat")
        ra, dec, magnitude, error = (np.asarray(stars[n], float) for n in ("X_WORLD", "Y_WORLD", "MAG", "ERRA_WORLD"))
        none = np.zeros(len(ra))
        catalogue = Catalogue(ra, dec, error * 3600, none, none, none, float(stars["OBSDATE"][0]))
        plates, detected = [], []
        for number in range(exposures):
            for chip, (header, rows) in enumerate(ldac.read(folder / f"exp{number}.cat")):
                good = rows[(rows["FLAGS"] < 4) & (rows["SNR_WIN"] > LEAST_SIGNAL)]  # not saturated
                x, y = (np.asarray(good[name], float) - 1 for name in ("XWIN_IMAGE", "YWIN_IMAGE"))
                errors = np.hypot(good["ERRAWIN_IMAGE"], good["ERRBWIN_IMAGE"]) / np.sqrt(2)
                told, (ny, nx) = Wcs.from_header(header), _truth(folder)["shape"]
                found = recognise(
                    x, y, good["FLUX_AUTO"], ra, dec, magnitude, told, nx, ny, max_offset=POINTING, tolerance=5.0
                )
                plates.append(Plate(number, chip, found.wcs if found else told, nx, ny, found is not None))
                detected.append(Detected(x, y, np.asarray(errors, float)))
        epochs = [catalogue.epoch] * exposures
        return solve(plates, detected, epochs, catalogue, Choices(focal_plane=FocalPlane.FIXED))

    return Work(call, _sources(folder), "source", lambda s: _told(folder, [p.wcs for p in s.plates]))


def scamp(folder: Path) -> Work:
    """Match and solve by SCAMP, with its best set-up."""
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
