"""Instruments as TOML files, and the reading of a raw file's headers by them."""

from awe.instruments.definition import InstrumentDefinition, load_definitions
from awe.instruments.explain import as_table, explain
from awe.instruments.reading import Exposure, RawAmplifier, RawChip, read_exposure

__all__ = [
    "Exposure",
    "InstrumentDefinition",
    "RawAmplifier",
    "RawChip",
    "as_table",
    "explain",
    "load_definitions",
    "read_exposure",
]
