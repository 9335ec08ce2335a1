"""A tiny night that the tests of the simulation share."""

from dataclasses import replace

import pytest

from awe.simulation import PRESETS, Night, NightPlan, simulate_night


@pytest.fixture(scope="session")
def tiny_night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The night of the preset `tiny`: two chips, one filter."""
    return simulate_night(tmp_path_factory.mktemp("tiny"), PRESETS["tiny"])


@pytest.fixture(scope="session")
def sparse_plan() -> NightPlan:
    """A field with few stars, far from each other, and no galaxies."""
    return replace(PRESETS["tiny"], chip_shape=(384, 384), chips=4, exposures=9, stars=6.0, galaxies=0.0, seed=21)


@pytest.fixture(scope="session")
def sparse_night(tmp_path_factory: pytest.TempPathFactory, sparse_plan: NightPlan) -> Night:
    """A night on that field."""
    return simulate_night(tmp_path_factory.mktemp("sparse"), sparse_plan)
