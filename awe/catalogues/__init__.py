"""Reference catalogues in the forms they come in, read into one: positions, errors, motions, magnitudes."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import MaskedColumn, Table

from awe.errors import BadFile, BadRequest, NotFound

POSITION = ("ra", "dec", "ra_error", "dec_error", "pmra", "pmdec", "epoch")
_SEXAGESIMAL = {"ra_hour", "ra_min", "ra_sec", "dec_deg", "dec_min", "dec_sec"}


@dataclass(frozen=True)
class CatalogueForm:
    """How a catalogue is written: names or places of its columns, and what holds for all of its rows."""

    description: str = ""
    epoch: float | None = None
    """Julian year of the positions, where no column tells it."""
    position_error: float = 100.0
    """mas, where no column tells it."""
    magnitude_error: float = 0.02
    """mag, where no column tells it."""
    columns: Mapping[str, list[str]] = field(default_factory=dict)
    """Name in awe: the names it may have in the table."""
    fixed_columns: Mapping[str, list[int]] = field(default_factory=dict)
    """Name in awe: first and last character + 1 in a text file."""


def forms() -> list[str]:
    """Return the names of the forms that come with the program."""
    return sorted(p.name.removesuffix(".toml") for p in files(__package__).iterdir() if p.name.endswith(".toml"))


def load_form(name: str) -> CatalogueForm:
    """Return a form by its name, or from a TOML file of the user's."""
    path = Path(name) if name.endswith(".toml") else Path(str(files(__package__) / f"{name}.toml"))
    if not path.is_file():
        raise NotFound(f"no catalogue form {name!r}; there are {', '.join(forms())}, or give a .toml file of your own")
    try:
        return CatalogueForm(**tomllib.loads(path.read_text()))
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise BadRequest(f"catalogue form {path}: {error}") from error


def read_catalogue(path: Path, form: CatalogueForm) -> np.ndarray:
    """Return a catalogue as a structured array with columns ra, dec (deg), ra_error, dec_error (mas), pmra, pmdec
    (mas/yr), epoch (yr), mag_X and mag_X_error (mag); what is unknown is NaN, errors are filled in from the form.
    """
    if not path.is_file():
        raise NotFound(f"no file {path}")
    values = _fixed(path, form) if form.fixed_columns else _named(path, form)
    if "ra" not in values or "dec" not in values:
        raise BadFile(f"{path}: no columns for ra and dec; this form expects {dict(form.columns)}")
    count = len(values["ra"])
    if not count:
        raise BadFile(f"{path} holds no star")
    good = np.isfinite(values["ra"]) & np.isfinite(values["dec"]) & (np.abs(values["dec"]) <= 90)
    rows = np.full(count, np.nan, _row_type(values))
    for name in rows.dtype.names or ():
        rows[name] = values.get(name, _default(name, form))
    for name in ("ra_error", "dec_error", *(n for n in rows.dtype.names or () if n.startswith("mag_"))):
        if name.endswith("_error"):
            rows[name] = np.where(np.isfinite(rows[name]), rows[name], _default(name, form))
    return rows[good]


def _row_type(values: Mapping[str, Any]) -> np.dtype[Any]:
    magnitudes = sorted(n for n in values if n.startswith("mag_") and not n.endswith("_error"))
    names = [(n, "f8") for n in POSITION]
    return np.dtype(names + [(f"{m}{end}", "f4") for m in magnitudes for end in ("", "_error")])


def _default(name: str, form: CatalogueForm) -> float:
    if name in ("ra_error", "dec_error"):
        return form.position_error
    if name.endswith("_error"):
        return form.magnitude_error
    if name == "epoch" and form.epoch is not None:
        return form.epoch
    return np.nan


def _named(path: Path, form: CatalogueForm) -> dict[str, np.ndarray]:
    try:
        table = Table.read(path)
    except Exception as error:  # the readers of astropy raise what they like
        raise BadFile(f"{path} is not a table that can be read (FITS, VOTable, ECSV, CSV): {error}") from error
    found = {}
    for name, aliases in form.columns.items():
        column = next((table[a] for a in aliases if a in table.colnames), None)
        if column is not None:
            found[name] = _numbers(column)
    for name in table.colnames:
        if name.startswith("mag_") and name not in found:
            found[name] = _numbers(table[name])
    return found


def _numbers(column: Any) -> np.ndarray:
    filled = column.filled(np.nan) if isinstance(column, MaskedColumn) and column.dtype.kind == "f" else column
    return np.asarray(filled, dtype=float)


def _fixed(path: Path, form: CatalogueForm) -> dict[str, np.ndarray]:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    parts = {n: np.array([_number(line[a:b]) for line in lines]) for n, (a, b) in form.fixed_columns.items()}
    found = {n: v for n, v in parts.items() if n not in _SEXAGESIMAL}
    if set(parts) >= _SEXAGESIMAL:
        a, b = form.fixed_columns["dec_deg"]
        sign = np.array([-1.0 if "-" in line[a:b] else 1.0 for line in lines])
        found["ra"] = 15 * (parts["ra_hour"] + parts["ra_min"] / 60 + parts["ra_sec"] / 3600)
        found["dec"] = sign * (np.abs(parts["dec_deg"]) + parts["dec_min"] / 60 + parts["dec_sec"] / 3600)
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
