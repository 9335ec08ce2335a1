"""The lineage of an object as a tree of pictures."""

from flask import Blueprint, Response, request

from awe.services.lineage_graph import load_graph
from awe.services.lineage_map import draw_map
from awe.services.lineage_tree import unfold
from awe.services.negotiation import answer
from awe.services.operations import Operation, Parameter, describe
from awe.services.sessions import session

tree = Blueprint("tree", __name__)

_SHOW = Operation(
    "The lineage of an object as a tree of pictures.",
    (Parameter("down", "1: what was made from it, instead of what it was made from", "boolean", False),),
)


@tree.get("/object/<number:object_id>/tree")
@tree.get("/object/<number:object_id>/tree.json", endpoint="json")
@describe(_SHOW)
def show(object_id: int) -> Response:
    """Show what an object was made from; with `down=1`, what was made from it."""
    graph = load_graph(session(), object_id, _SHOW.read(request.args)["down"])
    return answer("tree.html", graph.as_json, graph=graph, tree=unfold(graph), map=draw_map(graph))
