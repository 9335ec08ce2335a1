"""The object page as a tree: places unfold by level, by address, and piece by piece."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from awe.config import Settings
from awe.database import open_engine
from awe.local import start_data_server
from awe.services.app import create_app
from awe.services.summaries import summary_with
from awe.services.unfolding import Place, unfold_around
from awe.store import Store


def places(place: Place) -> list[Place]:
    return [place, *(p for b in place.branches for one in b.places for p in places(one))]


def branch_json(client: FlaskClient, object_id: int, **given: Any) -> dict[str, Any]:
    answer = client.get(f"/object/{object_id}/branch.json", query_string=given).get_json()
    assert isinstance(answer, dict)
    return answer


def test_the_first_level_is_shown_and_the_next_is_a_link(client: FlaskClient, world: Any) -> None:
    coadd, regridded, reduced = (world.ids[n] for n in ("Coadd", "RegriddedFrame", "ReducedFrame"))
    page = client.get(f"/object/{coadd}").text

    assert f'id="o{regridded}"' in page
    assert f'href="/object/{coadd}?expand={regridded}#o{regridded}"' in page
    assert f'id="o{reduced}"' not in page
    assert "level 2" not in page or "aria-expanded" in page


def test_an_address_unfolds_down_to_the_raw_frame(client: FlaskClient, world: Any) -> None:
    coadd, regridded, reduced = (world.ids[n] for n in ("Coadd", "RegriddedFrame", "ReducedFrame"))
    raw = world.ids["RawScienceFrame"]
    page = client.get(f"/object/{coadd}?expand={regridded},{reduced},{raw}").text

    assert f'href="/object/{raw}"' in page
    assert "EFOSC.0.Q1010-0100.fits" in page
    assert "level 4" in page


def test_depth_unfolds_all_that_is_nearer(world: Any) -> None:
    with Session(world.engine) as session:
        root = summary_with(session, world.ids["Coadd"])
        levels = {depth: unfold_around(session, root, depth=depth) for depth in (1, 2, 9)}

    assert max(p.level for p in places(levels[1].root)) == 2
    assert max(p.level for p in places(levels[2].root)) == 3
    opened = [p.summary.object_id for p in places(levels[9].root) if p.is_open]
    assert len(opened) == len(set(opened)) == len(levels[9].opened)


def test_what_is_open_elsewhere_is_referred_to(world: Any) -> None:
    with Session(world.engine) as session:
        tree = unfold_around(session, summary_with(session, world.ids["Coadd"]), depth=9)
    above = [p for p in places(tree.root) if p.is_above]

    assert above
    assert all(p.summary.object_id in tree.opened and not p.branches for p in above)


def test_more_than_a_page_holds_is_left_closed_and_said(
    client: FlaskClient, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("awe.services.unfolding.MOST_OPEN", 4)
    page = client.get(f"/object/{world.ids['Coadd']}?depth=9").text

    assert "not unfolded: one page unfolds at most" in page


def test_a_list_is_cut_and_says_so(client: FlaskClient, world: Any) -> None:
    page = client.get(f"/object/{world.ids['Coadd']}?rows=2").text

    assert "The first 2 of 3 are shown" in page
    assert "rows=3" in page


def test_members_of_a_list_say_what_became_of_them(client: FlaskClient, world: Any) -> None:
    (branch,) = branch_json(client, world.ids["Coadd"])["branches"]

    assert branch["role"] == "regridded_frames"
    assert [m["used"] for m in branch["objects"]] == [True, True, False]
    assert branch["objects"][2]["reason"] == "astrometric residual 1.8 pixel exceeds 1.5 pixel"


def test_the_tree_goes_downwards_too(client: FlaskClient, world: Any) -> None:
    found = branch_json(client, world.ids["BiasFrame"], down=1)
    totals = {(b["class"], b["role"]): b["total"] for b in found["branches"]}

    assert totals["ReducedFrame", "bias"] == 3
    assert totals["HotPixelMap", "bias"] == 1


def test_a_piece_of_the_page_is_a_page_without_head(client: FlaskClient, world: Any) -> None:
    reduced = world.ids["ReducedFrame"]
    piece = client.get(f"/object/{reduced}/branch?level=3&page={world.ids['Coadd']}&expand={reduced}").text

    assert "<html" not in piece
    assert "level 4" in piece
    assert f'href="/object/{world.ids["Coadd"]}?expand=' in piece


def test_an_unfolded_frame_has_its_picture_and_leads_to_it(client: FlaskClient, world: Any) -> None:
    reduced = world.ids["ReducedFrame"]
    piece = client.get(f"/object/{reduced}/branch").text

    assert f'<a href="/imageview/{reduced}"><img class="thumb" src="/imageview/{reduced}.png?fit=160"' in piece
    assert f'<a href="/imageview/{reduced}">picture</a>' in piece


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("?expand=x", "expand must be"),
        ("?expand=1,,2", "expand must be"),
        ("?expand=-1", "expand must be"),
        ("?expand=" + "9" * 11, "expand must be"),
        ("?expand=" + ",".join(map(str, range(1, 103))), "at most 100"),
        ("?depth=0", "depth must be a whole number from 1 to 9"),
        ("?depth=10", "depth must be"),
        ("?depth=1e9", "depth must be"),
        ("?rows=1001", "rows must be a whole number from 1 to 1000"),
        ("?deep=1", "near ones: depth"),
        ("/branch?level=0", "level must be"),
        ("/branch?down=2", "down must be"),
        ("/branch?page=0", "page must be"),
    ],
)
def test_what_can_not_be_unfolded_is_refused(client: FlaskClient, world: Any, address: str, said: str) -> None:
    answer = client.get(f"/object/{world.ids['Coadd']}{address}", headers={"Accept": "application/json"})

    assert answer.status_code == 400
    assert said in answer.get_json()["error"]


def test_objects_to_which_nothing_leads_are_named(client: FlaskClient, world: Any) -> None:
    assert (
        "nothing that is shown leads there: 1, 99999" in client.get(f"/object/{world.ids['Coadd']}?expand=1,99999").text
    )


def test_why_not_is_asked_from_both_sides(client: FlaskClient, world: Any) -> None:
    bias, raw = world.ids["BiasFrame"], world.ids["RawScienceFrame"]
    told = client.get(f"/object/{bias}/why-not.json?other={raw}").get_json()["reasons"]

    assert told == client.get(f"/object/{raw}/why-not.json?other={bias}").get_json()["reasons"]
    assert f"BiasFrame {bias}" in told[0]
    assert f"other={raw}" in client.get(f"/object/{bias}/why-not").text
    assert f"other={bias}" in client.get(f"/object/{raw}/why-not").text
    assert client.get(f"/object/{bias}/why-not?other={bias}").status_code == 400
    assert client.get(f"/object/{bias}/why-not?other=99999").status_code == 404
    assert client.get(f"/object/{world.ids['grid']}/why-not").status_code == 404


def statements_of(statements: Any, databases: Any, folder: Path, exposures: int) -> dict[str, int]:
    """Return the number of statements of pages over a world with so many exposures."""
    import runpy

    build = runpy.run_path(str(Path(__file__).parents[1] / "web_world.py"))["build"]
    engine = open_engine(databases.new())
    with start_data_server(folder / "files") as server:  # of its own: the files of two worlds have the same names
        store = Store(server.address, folder / "cache")
        own = build(engine, store, folder, exposures)
        client = create_app(Settings(home=folder), engine, store).test_client()
        found = {name: counted(engine, client, statements, address) for name, address in pages_of(own).items()}
    engine.dispose()
    return found


def counted(engine: Any, client: Any, statements: Any, address: str) -> int:
    """Return the number of statements of a page."""
    client.get(address)
    with statements(engine) as sent:
        assert client.get(address).status_code == 200
    return len(sent)


def pages_of(own: Any) -> dict[str, str]:
    """Return the addresses of pages of a world."""
    return {
        "coadd": f"/object/{own.ids['Coadd']}",
        "depth": f"/object/{own.ids['Coadd']}?depth=3",
        "tree": f"/object/{own.ids['Coadd']}/tree",
        "bias": f"/object/{own.ids['BiasFrame']}",
        "nights": "/nights",
        "night": "/night/EFOSC2/2026-01-27",
        "grid": "/grid/Q1010",
    }


def test_the_statements_do_not_grow_with_the_objects(
    statements: Any, databases: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("awe.services.staleness_story.PATIENCE", 60.0)  # else a busy machine breaks off the story
    few, many = (tmp_path / name for name in ("few", "many"))
    few.mkdir()
    many.mkdir()
    less = statements_of(statements, databases, few, 4)
    more = statements_of(statements, databases, many, 12)

    # the object page tells whether it is stale only where few objects are behind it, which is the smaller world
    assert {name: more[name] <= less[name] for name in less} == dict.fromkeys(less, True), (less, more)
