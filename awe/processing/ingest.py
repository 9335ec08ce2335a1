"""Ingest raw files: each one gets a verdict with a reason; nothing is ever half-ingested."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from awe import __version__
from awe.config import Settings
from awe.database import short_transaction
from awe.errors import BadFile, NotFound
from awe.instruments import Exposure, InstrumentDefinition, RawChip, read_exposure
from awe.model.electronics import Crosstalk
from awe.model.frame import Frame, SkyCell
from awe.model.ingested import Ingested, Verdict
from awe.model.instrument import Chip, Filter, Instrument, Telescope
from awe.model.observation import Observation, ObservingBlock
from awe.model.persistent import persistent_class
from awe.model.raw import RawFrame
from awe.model.sky import cells_of
from awe.processing.products import place
from awe.store import Store, StoredFile

SETTLING = 1.0
"""Seconds for which a file that was changed a moment ago must stay the same."""
PATIENCE = 60.0
"""Seconds after which a file that keeps changing is given up."""
EXTENSIONS = (".fits", ".fit", ".fts", ".fits.fz", ".fits.gz", ".fit.gz", ".fz")


@dataclass(frozen=True)
class Report:
    """What became of one file."""

    path: str
    verdict: Verdict
    reason: str
    frames: tuple[int, ...] = ()
    """Numbers of the raw frames."""


@dataclass(frozen=True)
class Ingester:
    """Ingests files into one database and store; `dry_run` reads and judges only."""

    engine: Engine
    store: Store | None
    settings: Settings
    definitions: dict[str, InstrumentDefinition]
    dry_run: bool = False

    def ingest(self, paths: Iterable[Path]) -> Iterator[Report]:
        """Yield the verdict on each file in turn; one bad file does not stop the others."""
        for path in paths:
            report, digest, size = self._judged(path)
            if not self.dry_run:
                self._remember(report, digest, size)
            yield report

    def _judged(self, path: Path) -> tuple[Report, str | None, int | None]:
        digest = size = None
        try:
            wait_until_settled(path)
            digest, size = checksum(path), path.stat().st_size
            return self._one(path, digest), digest, size
        except (BadFile, NotFound) as error:
            return Report(str(path), Verdict.REFUSED, str(error)), digest, size
        except OSError as error:
            return Report(str(path), Verdict.REFUSED, f"{path} can't be read: {error.strerror}"), digest, size

    def _one(self, path: Path, digest: str) -> Report:
        with short_transaction(self.engine) as session:
            known = _known(session, digest)
        if known:
            return self._known_again(path, known)
        exposure = read_exposure(path, self.definitions)
        said = f"{exposure.raw_class}, {exposure.instrument}, {_chips(exposure)}, night {exposure.night}"
        if self.dry_run or self.store is None:
            return Report(str(path), Verdict.INGESTED, f"{said} (dry run: nothing was stored)")
        stored = self.store.put(path, raw_file_name(path, exposure, self.settings.project, digest))
        try:
            with short_transaction(self.engine) as session:
                frames = Writer(session, self.settings).write(path, exposure, stored)
        except IntegrityError:
            return self._raced(path, digest)
        return Report(str(path), Verdict.INGESTED, said, _numbers(frames))

    def _known_again(self, path: Path, known: list[RawFrame]) -> Report:
        """Judge a file whose content is known; store it again if the data server lost it."""
        said = f"same content as {known[0].original_name}"
        if self.store is not None and not self.dry_run and not self.store.exists(str(known[0].filename)):
            self.store.put(path, known[0].filename)
            said += "; the data server had lost it, and has it again"
        return Report(str(path), Verdict.PRESENT, said, _numbers(known))

    def _raced(self, path: Path, digest: str) -> Report:
        """Look again after another process wrote the same file, or the same telescope, at the same moment."""
        with short_transaction(self.engine) as session:
            known = _known(session, digest)
        if known:
            return Report(str(path), Verdict.PRESENT, f"same content as {known[0].original_name}", _numbers(known))
        return self._one(path, digest)

    def _remember(self, report: Report, digest: str | None, size: int | None) -> None:
        with short_transaction(self.engine) as session:
            session.add(
                Ingested(
                    path=report.path,
                    verdict=report.verdict.value,
                    reason=report.reason,
                    sha256=digest,
                    size=size,
                    creator=self.settings.user,
                )
            )


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files given, and of folders all FITS files below them, sorted; a missing path stays in the list."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (p for p in path.rglob("*") if p.is_file() and p.name.lower().endswith(EXTENSIONS))
            found += sorted(inside)
        else:
            found.append(path)
    return found


def wait_until_settled(path: Path) -> None:
    """Return when a file has stopped changing; raise BadFile if it does not."""
    if not path.is_file():
        raise NotFound(f"no file {path}")
    end = time.monotonic() + PATIENCE
    before = path.stat()
    while time.time() - before.st_mtime < SETTLING:
        time.sleep(SETTLING / 4)
        now = path.stat()
        if (now.st_size, now.st_mtime) != (before.st_size, before.st_mtime) and time.monotonic() > end:
            raise BadFile(f"{path} is still being written after {PATIENCE:g} s: ingest it when it is complete")
        before = now


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def raw_file_name(path: Path, exposure: Exposure, project: str, digest: str) -> str:
    """Return the name of a raw file on the data servers: unchanged content keeps its compression suffix."""
    suffix = next((s for s in (".fits.fz", ".fits.gz", ".fz", ".gz") if path.name.lower().endswith(s)), ".fits")
    chip = exposure.frames[0].name if len(exposure.frames) == 1 else "all"
    words = ["Raw", project, exposure.instrument, exposure.filter or "", chip, exposure.raw_class]
    plain = ["".join(c if c.isalnum() or c in "_.#+" else "_" for c in w) for w in words]
    full = {".fz": ".fits.fz", ".gz": ".fits.gz"}.get(suffix, suffix)
    return "-".join([*plain, f"{exposure.mjd_obs:.7f}", digest[:40]]) + full


def _known(session: Session, digest: str) -> list[RawFrame]:
    query = select(RawFrame).where(RawFrame.content == digest).order_by(RawFrame.extension)
    return list(session.scalars(query).unique())


def _numbers(frames: list[RawFrame]) -> tuple[int, ...]:
    return tuple(frame.object_id for frame in frames)


def _chips(exposure: Exposure) -> str:
    names = [chip.name for chip in exposure.frames]
    return f"chip {names[0]}" if len(names) == 1 else f"{len(names)} chips"


class Writer:
    """Writes the rows of one exposure in one transaction."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self._session = session
        self._own = {"creator": settings.user, "project": settings.project, "software_version": __version__}

    def write(self, path: Path, exposure: Exposure, stored: StoredFile) -> list[RawFrame]:
        """Return the raw frames of an exposure, one for each chip."""
        instrument = self._instrument(exposure.definition)
        observation = self._observation(exposure, instrument)
        frames = [self._frame(path, exposure, chip, observation, stored) for chip in exposure.frames]
        self._session.add_all(frames)
        self._session.flush()
        return frames

    def _get_or_add(self, cls: Any, key: dict[str, Any], **more: Any) -> Any:
        known = self._session.scalars(select(cls).filter_by(**key)).unique().first()
        if known is not None:
            return known
        added = cls(**key, **more, **self._own)
        self._session.add(added)
        self._session.flush()
        return added

    def _instrument(self, definition: InstrumentDefinition) -> Instrument:
        site = definition.telescope
        place = {"longitude": site.longitude, "latitude": site.latitude, "altitude": site.altitude}
        telescope = self._get_or_add(Telescope, {"name": site.name}, **place)
        days = dict(definition.calibration.days)
        required = list(definition.calibration.required)
        corrections = definition.corrections.declared()
        version = hashlib.sha256(repr(definition).encode()).hexdigest()
        instrument: Instrument = self._get_or_add(
            Instrument,
            {"name": definition.name},
            telescope=telescope,
            definition=version,
            required_calibrations=required,
            calibration_days=days,
            corrections=corrections,
        )
        if instrument.definition != version:
            instrument.definition, instrument.required_calibrations = version, required
            instrument.telescope, instrument.calibration_days = telescope, days
            instrument.corrections = corrections
        self._crosstalk(definition, instrument)
        return instrument

    def _crosstalk(self, definition: InstrumentDefinition, instrument: Instrument) -> None:
        declared = definition.corrections
        if declared.crosstalk:
            key = {"instrument_id": instrument.object_id, "digest": declared.digest}
            self._get_or_add(Crosstalk, key, coefficients=declared.coefficients)

    def _filter(self, exposure: Exposure, instrument: Instrument) -> Filter | None:
        if exposure.filter is None:
            return None
        band = exposure.band or ""
        extinction = exposure.definition.extinction(exposure.band) or 0.0
        found: Filter = self._get_or_add(
            Filter, {"instrument_id": instrument.object_id, "name": exposure.filter}, band=band, extinction=extinction
        )
        found.band, found.extinction = band, extinction
        return found

    def _block(self, exposure: Exposure, instrument: Instrument) -> ObservingBlock | None:
        if exposure.observing_block is None:
            return None
        start = exposure.observing_block_start
        key = {"instrument_id": instrument.object_id, "name": exposure.observing_block}
        if start is not None:
            key["start"] = start
        block: ObservingBlock = self._get_or_add(
            ObservingBlock, key, programme=exposure.programme or "", **({} if start else {"start": exposure.date_obs})
        )
        return block

    def _observation(self, exposure: Exposure, instrument: Instrument) -> Observation:
        key = {"instrument_id": instrument.object_id, "date_obs": exposure.date_obs, "exptime": exposure.exptime}
        observation: Observation = self._get_or_add(
            Observation,
            key,
            filter=self._filter(exposure, instrument),
            observing_block=self._block(exposure, instrument),
            object=exposure.object or "",
            night=exposure.night,
            airmass=exposure.airmass,
            ra=exposure.ra,
            dec=exposure.dec,
            observer=exposure.observer or "",
            programme=exposure.programme or "",
        )
        return observation

    def _frame(
        self, path: Path, exposure: Exposure, chip: RawChip, observation: Observation, stored: StoredFile
    ) -> RawFrame:
        instrument = observation.instrument
        cls: Any = persistent_class(exposure.raw_class)
        known_chip = self._get_or_add(Chip, {"instrument_id": instrument.object_id, "name": chip.name})
        frame: RawFrame = cls(
            **self._own,
            observation=observation,
            instrument=instrument,
            chip=known_chip,
            filter=self._filter(exposure, instrument),
            **_exposure_columns(exposure),
            **_file_columns(path, chip, stored),
            **_detector_columns(chip),
        )
        _place(frame, chip, exposure)
        return frame


def _exposure_columns(exposure: Exposure) -> dict[str, Any]:
    names = ("date_obs", "mjd_obs", "night", "exptime", "airmass", "ra", "dec")
    return {name: getattr(exposure, name) for name in names} | {"object": exposure.object or ""}


def _file_columns(path: Path, chip: RawChip, stored: StoredFile) -> dict[str, Any]:
    return {
        "filename": stored.filename,
        "size": stored.size,
        "sha256": stored.sha256,
        "content": stored.sha256,
        "original_name": path.name,
        "hdu": chip.hdu,
        "extension": chip.hdu,
    }


def _detector_columns(chip: RawChip) -> dict[str, Any]:
    amplifiers = [
        {"name": a.name, "data_section": str(a.data_section), "overscan": [str(s) for s in a.overscan]}
        for a in chip.amplifiers
    ]
    return {
        "naxis1": chip.naxis1,
        "naxis2": chip.naxis2,
        "data_section": str(chip.data_section),
        "overscan_sections": ";".join(str(s) for s in (*chip.prescan, *chip.overscan)),
        "amplifiers": amplifiers,
        "gain": chip.gain,
        "header_read_noise": chip.read_noise_electron,
        "saturation": chip.saturation,
        "pixel_scale": chip.pixel_scale,
        "wcs_problem": chip.wcs_problem,
    }


def _place(frame: Frame, chip: RawChip, exposure: Exposure) -> None:
    """Set where a frame of the sky lies: by the header's coordinates, else by the nominal ones."""
    wcs = chip.wcs or chip.nominal_wcs
    if wcs is None:
        return
    place(frame, wcs)
    if frame.footprint:
        frame.cells = [SkyCell(cell=cell) for cell in cells_of(frame.footprint)]
