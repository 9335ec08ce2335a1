"""What instrument files declare besides bias, dark and flat."""

from pathlib import Path

import pytest

import awe.instruments
from awe.errors import BadRequest
from awe.instruments import load_definitions

SHIPPED = Path(awe.instruments.__file__).parent
ALL = """
[corrections]
fringes = ["i", "z*"]
illumination = ["*"]
crosstalk = [{ victim = "ccd2", aggressor = "ccd1", coefficient = 1e-3, flip_x = true }]
[corrections.linearity]
"""


def declared(folder: Path, text: str, name: str = "simcam"):
    (folder / f"{name}.toml").write_text((SHIPPED / f"{name}.toml").read_text() + text)
    return next(d for d in load_definitions(folder).values() if d.name.lower() == name).corrections


def test_no_shipped_instrument_declares_a_correction():
    assert [d.corrections.declared() for d in load_definitions().values()] == [{}] * 5


def test_what_is_declared_is_kept_as_plain_values(tmp_path):
    found = declared(tmp_path, ALL)

    assert found.declared() == {
        "fringes": ["i", "z*"],
        "illumination": ["*"],
        "linearity": {"minimum": 0.0, "maximum": None},
        "crosstalk": found.digest,
    }
    assert found.coefficients == [["ccd2", "ccd1", 1e-3, True, False]]


def test_other_coefficients_have_another_digest(tmp_path):
    one, other = (declared(tmp_path, ALL.replace("1e-3", c)).digest for c in ("1e-3", "2e-3"))

    assert one != other


def test_amplifiers_are_named_with_their_chip(tmp_path):
    text = '[corrections]\ncrosstalk = [{ victim = "ccd00:A", aggressor = "ccd00:B", coefficient = -1e-4 }]\n'
    megacam = (SHIPPED / "megacam.toml").read_text()
    (tmp_path / "megacam.toml").write_text(
        megacam.replace("# first-order focal plane", text + "# first-order focal plane")
    )

    assert load_definitions(tmp_path)["MegaCam"].corrections.coefficients == [
        ["ccd00:A", "ccd00:B", -1e-4, False, False]
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"ccd1", coef', '"ccd99", coef', r"crosstalk names ccd99, but no such chip or amplifier is defined"),
        ('"ccd1", coef', '"ccd2", coef', r"crosstalk\[1\]: ccd2 can't disturb itself"),
        ("1e-3", "0.5", r"a coefficient of 0.5 is no crosstalk: it is a fraction, below 0.1"),
        ("[corrections.linearity]", "[corrections.linearity]\nminimum = 9\nmaximum = 5", "9.0 to 5.0 are no range"),
        ("fringes", "fringe", r"corrections: no key 'fringe' here; did you mean fringes\?"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path, old, new, message):
    with pytest.raises(BadRequest, match=message):
        declared(tmp_path, ALL.replace(old, new))
