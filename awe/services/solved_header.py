"""Headers with the coordinates that astrometry found, as TPV or as SIP."""

import re
from typing import Any

from astropy.io import fits
from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.errors import BadRequest, NotFound
from awe.kernels.tpv import SIP_BOUND, as_sip
from awe.kernels.wcs import Wcs
from awe.model.astrometric import AstrometricParameters
from awe.model.frame import Frame
from awe.model.science import ReducedFrame

CELESTIAL = re.compile(
    r"(CTYPE|CRVAL|CRPIX|CUNIT|CDELT|CROTA)[12]|(CD|PC)[12]_[12]|PV[12]_\d+|(A|B|AP|BP)_(\d+_\d+|ORDER|DMAX)"
    r"|RADESYS|RADECSYS|EQUINOX|LONPOLE|LATPOLE|WCSAXES"
)
"""Keywords that say where pixels lie on the sky."""


def coordinates_of(session: Session, thing: Any, written: str) -> tuple[Wcs, str]:
    """Return the coordinates of an image as `tpv` or `sip`, and where they are from.

    Of a reduced frame those of its newest valid astrometry, if there is one.

    Raises
    ------
    NotFound
        If it has none.
    BadRequest
        If SIP can't hold them within `SIP_BOUND`.
    """
    source, frame = thing, thing.reduced if isinstance(thing, AstrometricParameters) else thing
    if isinstance(thing, ReducedFrame):
        known = AstrometricParameters.reduced_id == thing.object_id, AstrometricParameters.is_valid > 0
        newest = select(AstrometricParameters).where(*known).order_by(AstrometricParameters.object_id.desc()).limit(1)
        source = session.scalars(newest).first() or thing
    cards = source.wcs if isinstance(source, Frame | AstrometricParameters) else None
    if not cards or not frame.naxis1 or not frame.naxis2:
        raise NotFound(f"{thing} has no coordinates on the sky: only wcs=file tells its header")
    found = Wcs.from_header(cards)
    if written == "sip" and found.cards["CTYPE1"] != "RA---TAN-SIP":
        try:
            found = as_sip(found, frame.naxis1, frame.naxis2)
        except ValueError as error:
            raise BadRequest(f"{thing}: {error}; SIP is written if it is within {SIP_BOUND:g}: use wcs=tpv") from error
    return found, str(source)


def with_coordinates(header: fits.Header, coordinates: tuple[Wcs, str]) -> fits.Header:
    """Return a copy of a header with other celestial coordinates, and the source of these as a comment."""
    wcs, source = coordinates
    found = header.copy()
    for keyword in list(found.keys()):
        if CELESTIAL.fullmatch(keyword):
            found.remove(keyword, remove_all=True, ignore_missing=True)
    for keyword, value in wcs.cards.items():
        found[keyword] = value
    found.add_comment(f"coordinates of {source}")
    return found
