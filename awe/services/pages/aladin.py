"""Scripts that show an object in the Aladin sky atlas."""

from flask import Blueprint, Response, request

from awe.services.aladin import aladin_script
from awe.services.objectview import find_object
from awe.services.operations import Operation, describe
from awe.services.sessions import session

aladin = Blueprint("aladin", __name__)

_SHOW = Operation(
    "A script for the Aladin sky atlas, which loads the image, or the rows of the list and its image.",
    answers=("text/plain",),
)


@aladin.get("/object/<number:object_id>/aladin.ajs")
@describe(_SHOW)
def script(object_id: int) -> Response:
    """Send the script."""
    _SHOW.read(request.args)
    text = aladin_script(find_object(session(), object_id), request.host_url.rstrip("/"))
    response = Response(text, mimetype="text/plain")
    response.headers["Content-Disposition"] = f'attachment; filename="awe-{object_id}.ajs"'
    return response
