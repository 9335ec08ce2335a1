"""What is drawn over an image: sources of its lists, and outlines of the frames it is made of or is part of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import RowMapping, and_, func, select
from sqlalchemy.orm import Session

from awe.errors import NotFound
from awe.kernels.wcs import separation
from awe.model.access import visible
from awe.model.catalogue import SOURCES, SourceList
from awe.model.frame import Frame
from awe.model.persistent import Persistent
from awe.services.lineage_graph import all_edges
from awe.services.stored_frames import StoredFrame

MOST_SOURCES = 2000
MOST_FOOTPRINTS = 500
_COLUMNS = ("SID", "RA", "DEC", "A_IMAGE", "B_IMAGE", "THETA_IMAGE", "KRON_RADIUS", "MAG_AUTO", "FLAGS")


def source_lists(session: Session, image: StoredFrame) -> list[dict[str, Any]]:
    """Return the source lists of an image, the newest first."""
    lists, persistent = SourceList.__table__.c, Persistent.__table__.c
    query = select(lists.object_id, lists.name, lists.n_sources, persistent.is_valid)
    query = query.select_from(SourceList.__table__.join(Persistent.__table__))
    query = query.where(lists.frame_id == image.object_id)
    rows = session.execute(visible(session, query)).all()
    return [
        {"slid": r.object_id, "name": r.name, "sources": r.n_sources, "is_valid": r.is_valid}
        for r in sorted(rows, key=lambda r: (r.is_valid == 0, -r.object_id))
    ]


def sources_within(
    session: Session, image: StoredFrame, slid: int, box: Sequence[float], most: int = MOST_SOURCES
) -> dict[str, Any]:
    """Return the sources of a list in a box x1, x2, y1, y2 (from 1), and their number.

    The brightest come first. Rows are [SID, x, y, RA, DEC, A, B, THETA, Kron radius, magnitude, FLAGS]; x and y count
    from 1.
    """
    lists = source_lists(session, image)
    if slid not in [row["slid"] for row in lists]:
        there = ", ".join(str(row["slid"]) for row in lists) or "none"
        raise NotFound(f"no source list {slid} of {image.label}; there are: {there}")
    c = SOURCES.c
    x, y = func.coalesce(c.XWIN_IMAGE, c.X_IMAGE), func.coalesce(c.YWIN_IMAGE, c.Y_IMAGE)
    x1, x2, y1, y2 = (float(v) - 1 for v in box)
    inside = and_(c["SLID"] == slid, x.between(x1, x2), y.between(y1, y2))
    total = session.scalar(select(func.count()).select_from(SOURCES).where(inside)) or 0
    columns = [c[name] for name in _COLUMNS]
    query = select(x.label("x"), y.label("y"), *columns).where(inside)
    rows = session.execute(query.order_by(c.MAG_AUTO.is_(None), c.MAG_AUTO, c.SID).limit(most)).mappings()
    return {
        "slid": slid,
        "total": total,
        "columns": ["SID", "x", "y", *_COLUMNS[1:]],
        "rows": [[r["SID"], r["x"] + 1, r["y"] + 1, *(r[name] for name in _COLUMNS[1:])] for r in rows],
    }


def footprints(session: Session, image: StoredFrame, most: int = MOST_FOOTPRINTS) -> dict[str, Any]:
    """Return the outlines, on an image, of the frames that it was made from directly or that were made from it.

    Corners are pixels from 1. A frame whose place on the sky is not known, or that lies far away, is left out.
    """
    if image.wcs is None:
        return {"total": 0, "frames": []}
    graph, frame, persistent = all_edges().c, Frame.__table__.c, Persistent.__table__.c
    joined = Frame.__table__.join(Persistent.__table__)
    columns = (frame.object_id, frame.footprint, frame.date_obs, persistent.class_name)
    found: dict[int, dict[str, Any]] = {}
    for here, there, made_from in ((graph.product_id, graph.input_id, True), (graph.input_id, graph.product_id, False)):
        near = select(there).where(here == image.object_id)
        query = select(*columns).select_from(joined).where(frame.object_id.in_(near), frame.footprint.is_not(None))
        for row in session.execute(visible(session, query.order_by(frame.object_id))).mappings():
            outline = _outline(image, row)
            if outline is not None:
                found.setdefault(row["object_id"], outline | {"made_from": made_from})
    return {"total": len(found), "frames": list(found.values())[:most]}


def _outline(image: StoredFrame, row: RowMapping) -> dict[str, Any] | None:
    assert image.wcs is not None
    corners = np.array(row["footprint"], np.float64)
    if corners.shape != (4, 2) or separation(*image.wcs.centre(image.nx, image.ny), *corners.mean(axis=0)) > 90:
        return None
    x, y = image.wcs.to_pixel(corners[:, 0], corners[:, 1])
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    return {
        "object_id": row["object_id"],
        "label": f"{row['class_name']} {row['object_id']}",
        "date_obs": row["date_obs"].isoformat() if row["date_obs"] else None,
        "corners": [[round(float(a) + 1, 2), round(float(b) + 1, 2)] for a, b in zip(x, y, strict=True)],
    }


def recent_images(session: Session, most: int, words: str = "") -> list[dict[str, Any]]:
    """Return the frames that were made last and have coordinates on the sky, or those that some words fit."""
    frame, persistent = Frame.__table__.c, Persistent.__table__.c
    query = select(persistent.object_id, persistent.class_name, frame.object, frame.filename, frame.date_obs)
    query = query.select_from(Frame.__table__.join(Persistent.__table__)).where(frame.filename.is_not(None))
    if words:
        like = f"%{words.replace('/', '//').replace('%', '/%').replace('_', '/_')}%"
        query = query.where(
            frame.filename.ilike(like, escape="/")
            | frame.object.ilike(like, escape="/")
            | persistent.class_name.ilike(like, escape="/")
        )
    else:
        query = query.where(persistent.class_name.in_(("Coadd", "RegriddedFrame", "ReducedFrame")))
    rows = session.execute(visible(session, query.order_by(persistent.object_id.desc()).limit(most))).mappings()
    return [dict(row) for row in rows]
