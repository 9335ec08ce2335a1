"""The lineage of an object as a tree of pictures."""

from flask import Blueprint, Response, request

from awe.errors import BadRequest
from awe.services.lineage_graph import load_graph
from awe.services.lineage_map import draw_map
from awe.services.lineage_tree import unfold
from awe.services.negotiation import answer
from awe.services.sessions import session

tree = Blueprint("tree", __name__)


@tree.get("/object/<number:object_id>/tree")
@tree.get("/object/<number:object_id>/tree.json", endpoint="json")
def show(object_id: int) -> Response:
    """Show what an object was made from; with `down=1`, what was made from it."""
    graph = load_graph(session(), object_id, _down())
    return answer("tree.html", graph.as_json, graph=graph, tree=unfold(graph), map=draw_map(graph))


def _down() -> bool:
    unknown = sorted(set(request.args) - {"down"})
    if unknown:
        raise BadRequest(f"no parameter {', '.join(unknown)[:60]!r} of a tree; there is down")
    down = request.args.get("down", "0")
    if down not in ("0", "1"):
        raise BadRequest(f"down must be 0 (what it was made from) or 1 (what was made from it), got {down[:60]!r}")
    return down == "1"
