"""The lineage of an object: as JSON, as a tree, as a map of classes."""

from typing import Any

from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from awe.model import Persistent
from awe.model.lineage import ancestors, descendants
from awe.services.lineage_graph import load_graph
from awe.services.lineage_map import draw_map, reduced
from awe.services.lineage_tree import LineageTree, Node, unfold


def full(node: Node) -> list[int]:
    """Return the ids of the objects that the tree shows in full."""
    below = [i for b in node.branches for n in b.nodes if not n.is_repeated for i in full(n)]
    return [node.summary.object_id, *below]


def tree_of(world: Any, name: str, down: bool = False) -> LineageTree:
    with Session(world.engine) as session:
        return unfold(load_graph(session, world.ids[name], down))


def test_the_graph_holds_all_ancestors(client: FlaskClient, world: Any) -> None:
    coadd = world.ids["Coadd"]
    graph = client.get(f"/object/{coadd}/tree.json").json
    assert graph is not None
    with Session(world.engine) as session:
        known = ancestors(session, Persistent, [coadd])

    assert {int(i) for i in graph["objects"]} == known | {coadd}
    assert graph["objects"][str(world.ids["RegriddedFrame"])]["level"] == 1
    assert {"product": coadd, "role": "regridded_frames", "input": world.ids["RegriddedFrame"]} in graph["edges"]
    assert graph["truncated"] is False


def test_the_graph_holds_all_descendants(client: FlaskClient, world: Any) -> None:
    raw = world.ids["RawBiasFrame"]
    graph = client.get(f"/object/{raw}/tree.json?down=1").json
    assert graph is not None
    with Session(world.engine) as session:
        known = descendants(session, Persistent, [raw])

    assert {int(i) for i in graph["objects"]} == known | {raw}
    assert world.ids["AssociateList"] in known


def test_each_object_stands_in_full_exactly_once(world: Any) -> None:
    tree = tree_of(world, "Coadd")
    shown = full(tree.root)

    assert len(shown) == len(set(shown)) == tree.total == tree.placed


def test_a_person_can_click_from_coadd_to_raw_frame(client: FlaskClient, world: Any) -> None:
    page = client.get(f"/object/{world.ids['Coadd']}/tree").text

    for raw in world.raws:
        assert f'href="/object/{raw}"' in page
        assert f"/imageview/{raw}.png?fit=160" in page


def test_the_statements_of_a_tree_grow_with_its_depth_only(client: FlaskClient, world: Any, statements: Any) -> None:
    with statements() as sent:
        client.get(f"/object/{world.ids['Coadd']}/tree")

    assert len(sent) <= 15


def test_what_a_page_does_not_unfold_is_marked(world: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("awe.services.lineage_tree.LARGEST_TREE", 5)
    tree = tree_of(world, "Coadd")

    assert tree.placed < tree.total
    regridded = tree.root.branches[0].nodes
    assert [n.is_cut for n in regridded] == [False, True, True]


def test_an_object_without_lineage_is_a_tree_of_one(client: FlaskClient, world: Any) -> None:
    assert tree_of(world, "chip").total == 1
    assert client.get(f"/object/{world.ids['chip']}/tree").status_code == 200


def test_the_map_has_a_box_for_each_class(world: Any) -> None:
    with Session(world.engine) as session:
        drawn = draw_map(load_graph(session, world.ids["Coadd"]))

    counts = {b.class_name: b.count for b in drawn.boxes}
    assert counts["RawBiasFrame"] == counts["ReducedFrame"] == 3
    assert [h for h, _ in drawn.headings] == ["Raw frames", "Calibrations", "Science"]
    assert all(b.right <= drawn.width and b.middle <= drawn.height for b in drawn.boxes)


def test_lines_that_a_chain_implies_are_left_out() -> None:
    assert reduced({("a", "b"), ("b", "c"), ("a", "c"), ("c", "c")}) == {("a", "b"), ("b", "c")}
