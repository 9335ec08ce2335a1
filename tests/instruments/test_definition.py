from pathlib import Path

import pytest

from awe.errors import BadRequest
from awe.instruments import load_definitions
from awe.instruments.reference import with_keys

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "add-an-instrument.md"


@pytest.fixture
def example():
    """The example of the documentation."""
    return PAGE.read_text().split("```toml\n")[1].split("```")[0]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "instruments").mkdir()
    return tmp_path / "instruments"


def test_five_instruments_are_shipped():
    assert list(load_definitions()) == ["EFOSC2", "MegaCam", "MicroObservatory", "Nickel", "SIMCAM"]


def test_megacam_has_36_chips_each_with_a_place_in_the_focal_plane():
    megacam = load_definitions()["MegaCam"]

    assert megacam.chip_names == tuple(f"ccd{number:02}" for number in range(36))
    assert [name for name, _ in megacam.focal_plane] == list(megacam.chip_names)


def test_the_documented_example_is_a_valid_instrument_file(folder, example):
    (folder / "mycam.toml").write_text(example)

    assert load_definitions(folder)["MYCAM"].telescope.longitude == 6.5


def test_a_users_file_replaces_the_shipped_one_of_its_name(folder, example):
    (folder / "mine.toml").write_text(example.replace("MYCAM", "Nickel"))

    definitions = load_definitions(folder)

    assert len(definitions) == 5
    assert definitions["Nickel"].telescope.name == "My 0.5-m"


def test_all_keys_are_documented():
    page = PAGE.read_text()

    assert page == with_keys(page), "run: python -m awe.instruments.reference docs/howto/add-an-instrument.md"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "MYCAM"', "", r"bad.toml: top level: key 'name' is missing"),
        ("longitude = 6.5", "longitud = 6.5", r"telescope: no key 'longitud' here; did you mean longitude\?"),
        ("longitude = 6.5", 'longitude = "6.5"', r"telescope.longitude: expected a number, found '6.5'"),
        ("longitude = 6.5", "longitude = 206.5", r"telescope: longitude 206.5, .* is no place on earth"),
        (', equals = "MYCAM"', "", r"match\[1\].when\[1\]: .* exactly one of equals"),
        (
            '[[date]]\nkeyword = "DATE-OBS"',
            '[[date]]\nkeyword = "D"\nform = "iso8601"',
            r"date\[1\].form: expected one of 'iso'",
        ),
        (
            '[[date]]\nkeyword = "DATE-OBS"',
            '[[date]]\nkeyword = "D"\nform = "date"',
            r"date\[1\]: form 'date' needs time_keyword",
        ),
        ('unit = "hour"', 'unit = "s"', r"keywords.ra: expected unit 'deg' or 'hour' or 'rad', found 's'"),
        (
            'raw_class = "RawBiasFrame"',
            'raw_class = "Bias"',
            r"class_rules\[1\].raw_class: expected one of 'RawBiasFrame'",
        ),
        ('raw_class = "RawBiasFrame"', "", r"class_rules\[1\]: a rule needs either raw_class or refuse"),
        ('required = ["RawTwilightFlatFrame"', 'required = ["Flat"', r"keywords.filter.required\[1\]: expected one of"),
        ('data_section = "[1:2048,1:2048]"', 'data_section = "1:2048"', r"chips\[1\].data_section: expected a section"),
        ("gain = 1.5", "", r"chips\[1\]: chip ccd needs gain"),
        ("gain = 1.5", "gain = -1.5", r"chips\[1\].gain: expected a number above 0, found -1.5"),
        ("gain = 1.5", "gain = { keywords = 'G' }", r"chips\[1\].gain: no key 'keywords' here; did you mean keyword\?"),
        ('name = "ccd"', 'name = "ccd"\nnumbers = "0-35"', r"chips\[1\]: expected numbers as '0:35'"),
        ("pixel_scale = 0.6", "pixel_scale = 0.6\n[focal_plane.x]\ncrpix=[1,1]\ncd=[[1,0],[0,1]]", "focal_plane has x"),
        ('name = "MYCAM"', 'name = "MYCAM', "can't be read"),
    ],
)
def test_mistakes_are_named_with_file_table_key_and_expectation(folder, example, old, new, message):
    assert old in example
    (folder / "bad.toml").write_text(example.replace(old, new, 1))

    with pytest.raises(BadRequest, match=r"bad.toml") as caught:
        load_definitions(folder)

    caught.match(message)


def test_an_instrument_without_a_date_rule_is_refused(folder, example):
    without = example.replace('[[date]]\nkeyword = "DATE-OBS"', "")
    (folder / "bad.toml").write_text(f"date = []\n{without}")

    with pytest.raises(BadRequest, match=r"bad.toml: top level: date is empty: at least one is needed"):
        load_definitions(folder)


def test_two_files_of_one_name_are_refused(folder, example):
    (folder / "a.toml").write_text(example)
    (folder / "b.toml").write_text(example)

    with pytest.raises(BadRequest, match=r"b.toml: the instrument MYCAM is also defined in .*a.toml"):
        load_definitions(folder)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadRequest, match="nowhere does not exist"):
        load_definitions(tmp_path / "nowhere")


def test_filters_are_named_by_their_band_and_have_an_extinction(definitions):
    assert definitions["EFOSC2"].band("g#782") == "g"
    assert definitions["MegaCam"].band("r.MP9601") == "r"
    assert definitions["Nickel"].band("Halpha") is None
    assert definitions["Nickel"].extinction("V") == 0.14
    assert definitions["MicroObservatory"].extinction("G") == 0.15


def test_calibration_days_fall_back_to_those_of_the_caller(definitions):
    assert definitions["EFOSC2"].calibration.days_for("bias", 1.0) == 7.0
    assert definitions["MicroObservatory"].calibration.days_for("bias", 1.0) == 1.0
