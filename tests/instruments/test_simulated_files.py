import pytest

from awe.instruments import read_exposure
from awe.simulation.bands import BANDS
from awe.simulation.night import simulate_night
from awe.simulation.plan import NightPlan
from awe.simulation.schedule import LATITUDE, LONGITUDE, schedule

PLAN = NightPlan(chip_shape=(64, 64), chips=2, filters=("r",), exposures=2, biases=1, twilights=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return simulate_night(tmp_path_factory.mktemp("night"), PLAN).files


def test_every_file_of_a_simulated_night_is_read_as_what_was_observed(files, definitions):
    names = {
        "BIAS": "RawBiasFrame", "DARK": "RawDarkFrame", "DOMEFLAT": "RawDomeFlatFrame",
        "SKYFLAT": "RawTwilightFlatFrame", "OBJECT": "RawScienceFrame", "STANDARD": "RawStandardFrame",
    }  # fmt: skip
    planned = schedule(PLAN)

    read = [read_exposure(path, definitions) for path in files]

    assert [e.raw_class for e in read] == [names[exposure.obstype] for exposure in planned]
    assert [e.date_obs for e in read] == [exposure.start.replace(tzinfo=None) for exposure in planned]
    assert len({e.night for e in read}) == 1
    assert {len(e.frames) for e in read} == {2}


def test_the_instrument_file_agrees_with_the_simulation(definitions):
    simcam = definitions["SIMCAM"]

    assert (simcam.telescope.longitude, simcam.telescope.latitude) == (LONGITUDE, LATITUDE)
    for name, band in BANDS.items():
        assert simcam.band(name) == name
        assert simcam.extinction(name) == band.extinction
