"""Simulated nights of known truth."""

from awe.simulation.night import Night, holds_night, load_night, simulate_night
from awe.simulation.plan import PRESETS, NightPlan
from awe.simulation.projection import true_wcs
from awe.simulation.truth import Truth

__all__ = ["PRESETS", "Night", "NightPlan", "Truth", "holds_night", "load_night", "simulate_night", "true_wcs"]
