"""What an address takes: read, refused and documented from one declaration."""

import pytest
from flask.testing import FlaskClient

from awe.errors import BadRequest
from awe.services.operations import Operation, Parameter

WIDTH = Parameter("width", "width of the picture", "integer", 100, low=1, high=500, unit="px")
CUTS = Parameter("cuts", "how", choices=("zscale", "minmax"), default="zscale")
RA = Parameter("ra", "right ascension", "number", low=0, high=360)
INVERT = Parameter("invert", "white is low", "boolean", False)
OPERATION = Operation("A picture.", (WIDTH, CUTS, RA, INVERT))


def test_values_are_read_and_defaults_filled_in() -> None:
    assert OPERATION.read({"width": " 20 ", "invert": "on"}) == {
        "width": 20, "cuts": "zscale", "ra": None, "invert": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"width": "0"}, "width must be a whole number from 1 to 500, got '0'"),
        ({"width": "1_0"}, "width must be a whole number"),
        ({"width": "²"}, "width must be a whole number"),
        ({"width": "9" * 5000}, "width must be a whole number"),
        ({"ra": "nan"}, "ra must be a number from 0 to 360, got 'nan'"),
        ({"cuts": "best"}, "cuts must be zscale or minmax, got 'best'"),
        ({"invert": "perhaps"}, "invert must be 0 or 1, got 'perhaps'"),
        ({"widht": "1"}, "no parameter 'widht' at this address; near ones: width"),
    ],
)
def test_what_can_not_be_meant_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        OPERATION.read(given)

    assert said in str(refused.value)


def test_the_site_describes_its_addresses(client: FlaskClient) -> None:
    described = client.get("/openapi.json").get_json()

    assert described["openapi"].startswith("3.")
    assert "/healthz" in described["paths"]
    assert "/healthz" in client.get("/api").text
