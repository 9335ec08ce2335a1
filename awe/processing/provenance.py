"""FITS keywords of a product: what it is of, what was measured on it, and what it was made from.

Inputs follow ESO's Phase 3 keyword PROVi (file of the i-th input), with PROVRi its role and PROVCi its class and
number; parameters are PARNi, PARVi, PARUi (name, value, unit).
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from sqlalchemy import inspect

from awe.model.frame import Frame
from awe.model.lineage import is_external, sources

Card = tuple[str, Any, str]

_EXPOSURE = (
    ("OBJECT", "object", "name of the target"),
    ("EXPTIME", "exptime", "[s] exposure time"),
    ("MJD-OBS", "mjd_obs", "[d] start of the exposure (UTC)"),
    ("AIRMASS", "airmass", "air mass"),
    ("BUNIT", "bunit", "unit of the pixels"),
)
_MEASURED = (
    ("GAIN", "gain", "[electron/adu] gain"),
    ("RDNOISE", "noise", "[adu] read noise"),
    ("SEEING", "seeing", "[arcsec] FWHM of stars"),
    ("ZEROPNT", "zeropoint", "[mag] zeropoint"),
    ("ZPNTERR", "zeropoint_error", "[mag] its standard error"),
    ("FLXSCALE", "flux_scale", "flux scale that was applied"),
    ("NOISESCL", "noise_scale", "noise of large apertures over independent pixels"),
)


def cards_of(product: Any) -> Iterator[Card]:
    """Yield the cards (keyword, value, comment) that describe a product, its measurements and its inputs."""
    yield "AWECLASS", type(product).__name__, "class of the product"
    if is_external(product):
        yield "ORIGFILE", product.origin or "", "file it was taken from, made elsewhere"
    if product.process is not None:
        yield "PROCNAME", product.process.name, "task that made it"
        yield "PROCVER", product.process.version, "version of the task"
    if isinstance(product, Frame):
        yield from _exposure(product)
    yield from _named(product, _MEASURED)
    yield from _all_measured(product)
    yield from _parameters(product)
    yield from _inputs(product)


def _exposure(product: Frame) -> Iterator[Card]:
    if product.instrument.telescope is not None:  # else the card that came with the frame stays
        yield "TELESCOP", product.instrument.telescope.name, "telescope"
    yield "INSTRUME", product.instrument.name, "instrument"
    if product.chip is not None:
        yield "DETECTOR", product.chip.name, "chip"
    if product.filter is not None:
        yield "FILTER", product.filter.name, "filter"
    yield "TIMESYS", "UTC", "time system"
    yield "DATE-OBS", product.date_obs.isoformat(timespec="milliseconds"), "start of the exposure (UTC)"
    yield from _named(product, _EXPOSURE)


def _named(product: Any, keywords: tuple[tuple[str, str, str], ...]) -> Iterator[Card]:
    for keyword, name, comment in keywords:
        value = getattr(product, name, None)
        if value is not None:
            yield keyword, value, comment


def _all_measured(product: Any) -> Iterator[Card]:
    for attribute in inspect(type(product)).column_attrs:
        value = getattr(product, attribute.key)
        if attribute.columns[0].info.get("measured") and isinstance(value, bool | int | float):
            yield f"HIERARCH AWE {attribute.key.upper()}", value, ""


def _parameters(product: Any) -> Iterator[Card]:
    if getattr(product, "parameters", None) is None:  # it has none, or was made elsewhere
        return
    for number, declared in enumerate(fields(product.Parameters), 1):
        value = getattr(product.parameters, declared.name)
        yield f"PARN{number}", declared.name, "name of a process parameter"
        yield f"PARV{number}", "none" if value is None else getattr(value, "value", value), "its value"
        if declared.metadata["unit"]:
            yield f"PARU{number}", declared.metadata["unit"], "its unit"


def _inputs(product: Any) -> Iterator[Card]:
    for number, (role, source) in enumerate(sources(product), 1):
        yield f"PROV{number}", getattr(source, "filename", None) or str(source), ""
        yield f"PROVR{number}", role, "role of the input"
        yield f"PROVC{number}", f"{type(source).__name__} {source.object_id}", "class and number of the input"
