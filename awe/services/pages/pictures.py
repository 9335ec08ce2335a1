"""Pictures of frames, made when they are asked for, and kept."""

from hashlib import sha256

from flask import Blueprint, Response, current_app, request

from awe.services.parts import parts
from awe.services.picture import make_picture, stored_image
from awe.services.picture_request import MEDIA_TYPES, PictureRequest
from awe.services.sessions import session

pictures = Blueprint("pictures", __name__)


@pictures.get("/picture/<number:object_id>.<form>")
def show(object_id: int, form: str) -> Response:
    """Send a picture of a frame."""
    wanted = PictureRequest.parse(form, request.args.to_dict())
    own = parts(current_app)
    image = stored_image(session(), own.store, object_id)
    session().rollback()  # hold no transaction while pixels are computed
    factor = wanted.binning(image.nx, image.ny)
    name = wanted.name(object_id, image.content, factor)
    response = Response(mimetype=MEDIA_TYPES[form])
    response.set_etag(sha256(name.encode()).hexdigest()[:24])
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    response.headers["X-Binning"] = str(factor)
    if request.if_none_match.contains_weak(response.get_etag()[0] or ""):
        response.status_code = 304
        return response
    response.set_data(own.workshop.get(name, lambda: make_picture(own.store, image, wanted)))
    return response
