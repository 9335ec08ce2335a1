"""Two objects side by side, and which others are offered for that."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from awe.config import Settings
from awe.model import Coadd, ReducedFrame
from awe.model.lineage import bind
from awe.services.app import create_app


@pytest.fixture
def remade(world: Any, engine: Engine, tmp_path: Path) -> tuple[FlaskClient, int]:
    """A client of the pages, and the number of the new coadd."""
    with Session(engine) as session:
        old = session.get_one(Coadd, world.ids["Coadd"])
        names = [c.key for c in Coadd.__mapper__.column_attrs if c.key not in ("object_id", "creation_date")]
        new = Coadd(**{name: getattr(old, name) for name in names if not name.startswith("param_")})
        new.parameters = Coadd.Parameters(threshold=3.0)
        new.zeropoint, new.class_name = 29.5, "Coadd"
        bind(new, "regridded_frames", old.regridded_frames[:2])
        session.add(new)
        session.commit()
        number = new.object_id
    return create_app(Settings(home=tmp_path), engine, world.store).test_client(), number


def compared(client: FlaskClient, left: int, right: int) -> dict[str, dict[str, Any]]:
    """Return {name: line} of what differs."""
    found = client.get(f"/compare/{left}/{right}.json").get_json()
    return {line["name"]: line for lines in found["groups"].values() for line in lines if line["differs"]}


def test_differences_are_named(remade: tuple[FlaskClient, int], world: Any) -> None:
    client, new = remade
    differences = compared(client, world.ids["Coadd"], new)

    assert (differences["param_threshold"]["left"], differences["param_threshold"]["right"]) == (4.0, 3.0)
    assert (differences["zeropoint"]["left"], differences["zeropoint"]["right"]) == (30.0, 29.5)
    assert set(differences) == {"param_threshold", "zeropoint", "regridded_frames"}
    assert differences["regridded_frames"]["right"] is None
    assert differences["regridded_frames"]["left"]["reason"] == "astrometric residual 1.8 pixel exceeds 1.5 pixel"


def test_the_page_marks_them(remade: tuple[FlaskClient, int], world: Any) -> None:
    client, new = remade
    page = client.get(f"/compare/{world.ids['Coadd']}/{new}").text
    brief = client.get(f"/compare/{world.ids['Coadd']}/{new}?all=0").text

    assert "3 differences" in page
    assert page.count('class="differs"') == brief.count('class="differs"') == 3
    assert "-0.5" in page
    assert "limiting magnitude" not in brief


def test_other_versions_are_offered(remade: tuple[FlaskClient, int], world: Any) -> None:
    client, new = remade
    coadd = world.ids["Coadd"]

    assert f'href="/compare/{new}/{coadd}"' in client.get(f"/object/{coadd}").text
    assert f'href="/compare/{coadd}/{new}"' in client.get(f"/object/{new}").text
    assert [v["object_id"] for v in client.get(f"/object/{coadd}.json").get_json()["versions"]] == [new]


def test_what_was_remade_of_the_same_exposure_is_a_version(client: FlaskClient, world: Any) -> None:
    """The other exposures of the night are none, though they are of the same target, chip and filter."""
    assert client.get(f"/object/{world.ids['ReducedFrame']}.json").get_json()["versions"] == []
    assert ReducedFrame.LIKE == "raw"


def test_an_object_does_not_differ_from_itself(client: FlaskClient, world: Any) -> None:
    for name in ("Coadd", "ReducedFrame", "grid", "RawBiasFrame", "AssociateList"):
        assert compared(client, world.ids[name], world.ids[name]) == {}


def test_what_is_not_known_in_time_is_no_difference(
    client: FlaskClient, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("awe.services.staleness_story.PATIENCE", 0.0)
    page = client.get(f"/compare/{world.ids['ReducedFrame']}/{world.ids['RawBiasFrame']}").text

    assert "takes longer to find out" in page
    assert "up to date" not in compared(client, world.ids["ReducedFrame"], world.ids["RawBiasFrame"])


def test_objects_of_different_classes_can_be_compared(client: FlaskClient, world: Any) -> None:
    differences = compared(client, world.ids["BiasFrame"], world.ids["chip"])

    assert differences["class"]["left"] == "BiasFrame"
    assert "different classes" in client.get(f"/compare/{world.ids['BiasFrame']}/{world.ids['chip']}").text


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/compare/1/99999", 404),
        ("/compare/0/1", 404),
        ("/compare/1/<script>", 404),
        ("/compare/1/2?all=maybe", 400),
        ("/compare?left=x", 400),
        ("/compare?left=1&right=2&up=1", 400),
        ("/compare?left=99999999999", 400),
        ("/compare", 200),
        ("/compare?left=1", 200),
    ],
)
def test_what_can_not_be_compared_is_refused(client: FlaskClient, address: str, status: int) -> None:
    assert client.get(address).status_code == status


def test_the_form_leads_to_the_comparison(client: FlaskClient) -> None:
    assert client.get("/compare?left=1&right=2").headers["Location"] == "/compare/1/2"
