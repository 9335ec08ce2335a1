"""Ingest calibrated frames made elsewhere: objects without inputs, marked external, that all else can work with."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from astropy.io.fits import Header
from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.database import short_transaction
from awe.fits_writing import write_image
from awe.model.frame import Frame
from awe.model.ingested import Verdict
from awe.processing.external_facts import Facts, Stated, facts_of
from awe.processing.external_header import Unsaid
from awe.processing.external_pixels import ExternalPixels, companion, read_external, split_name
from awe.processing.external_rows import ExternalWriter, external_frame, stored_header
from awe.processing.ingest import Ingester, Report, checksum, wait_until_settled
from awe.processing.products import file_name
from awe.store import StoredFile

Ask = Callable[[str, str], str]
"""Asks the user for the value of an option, given its name and what is missing."""


@dataclass(frozen=True)
class ExternalIngester(Ingester):
    """Ingests frames made elsewhere; `ask` is called for what neither header nor user has said, if there is one."""

    stated: Stated = field(default_factory=Stated)
    ask: Ask | None = None
    count: int = 1
    """Number of images that what was stated holds for."""

    def _one(self, path: Path, digest: str) -> Report:
        maps = [companion(path, name, self.count, f"--{what}") for what, name in self._maps]
        content, origin = _content(digest, maps), ", ".join(Path(p).name for p in (path, *maps) if p is not None)
        pixels = read_external(path, maps[0], maps[1], self.stated.weight_kind)
        facts = self._facts(pixels.header)
        report = Report(str(path), Verdict.INGESTED, f"external {self.stated.class_name}, {facts}")
        with short_transaction(self.engine) as session:
            known = self._known(session, content, facts)
        if known is not None:
            return replace(known, path=str(path))
        if self.dry_run:
            return replace(report, reason=f"{report.reason} (dry run: nothing was stored)")
        stored = self._store(pixels, facts, origin)
        with short_transaction(self.engine) as session:
            known = self._known(session, content, facts)  # another process may have been faster
            if known is not None:
                return replace(known, path=str(path))
            number = self._enter(session, pixels, facts, stored, origin=origin, origin_sha256=content)
        return replace(report, frames=(number,))

    @property
    def _maps(self) -> tuple[tuple[str, str | None], ...]:
        return ("weight", self.stated.weight), ("flags", self.stated.flags)

    def _facts(self, header: Header) -> Facts:
        stated = self.stated
        while True:
            try:
                return facts_of(header, stated, self.definitions)
            except Unsaid as missing:
                if self.ask is None:
                    raise
                stated = replace(stated, **{missing.option: self.ask(missing.option, str(missing))})

    def _known(self, session: Session, content: str, facts: Facts) -> Report | None:
        """Return the verdict on content that is there; None if it is new."""
        query = select(Frame).where(Frame.origin_sha256 == content, Frame.is_valid > 0).order_by(Frame.object_id)
        frame: Any = session.scalars(query).unique().first()
        if frame is None:
            return None
        same, other = f"same content as {frame}", _difference(frame, self.stated.class_name, facts)
        if not other:
            return Report("", Verdict.PRESENT, same, (frame.object_id,))
        way_out = f"if that is wrong, judge it invalid first: awe judge {frame.object_id} --invalid REASON"
        return Report("", Verdict.REFUSED, f"{same}, {other}; {way_out}", (frame.object_id,))

    def _store(self, pixels: ExternalPixels, facts: Facts, origin: str) -> StoredFile:
        assert self.store is not None
        frame = external_frame(self.stated.product_class, pixels, facts, origin=origin)
        self.settings.home.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.settings.home) as folder:
            path = Path(folder) / "external.fits"
            digest = write_image(path, pixels.planes, stored_header(pixels.header, frame, facts))
            name = file_name(frame, self.settings.project, digest)
            return self.store.put(path, name, consume=True, sha256=digest)

    def _enter(self, session: Session, pixels: ExternalPixels, facts: Facts, stored: StoredFile, **more: Any) -> int:
        file = {"filename": stored.filename, "size": stored.size, "sha256": stored.sha256}
        cls = self.stated.product_class
        frame = ExternalWriter(session, self.settings).frame(cls, pixels, facts, **file, **more)
        return int(frame.object_id)


def _content(digest: str, maps: list[Path | None]) -> str:
    """Return the checksum over image, weight and flags; of an image alone, that of its file."""
    parts = [digest]
    for what, path in zip(("weight", "flags"), maps, strict=True):
        if path is not None:
            name, hdu = split_name(path)
            wait_until_settled(name)
            parts.append(f"{what} {checksum(name)} {'' if hdu is None else hdu}")
    return digest if len(parts) == 1 else hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _difference(frame: Any, class_name: str, facts: Facts) -> str:
    """Return what is said of a frame now and was not when it was ingested; empty if nothing."""
    if type(frame).__name__ != class_name:
        return f"which is no {class_name}"
    before = {"zeropoint": frame.zeropoint, "unit": frame.bunit, "filter": frame.filter.name}
    before["instrument"] = frame.instrument.name
    now = {"zeropoint": facts.zeropoint.value, "unit": facts.unit.value, "filter": facts.filter}
    now["instrument"] = facts.instrument
    other = [f"{name} {before[name]}, not {now[name]}" for name in before if before[name] != now[name]]
    return f"which has {', '.join(other)}" if other else ""
