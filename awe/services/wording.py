"""Small pieces of text and address that the templates ask for."""

import re
from collections import Counter

from flask import current_app, request
from markupsafe import Markup, escape

from awe.model.persistent import QualityFlag
from awe.services.formatting import plural
from awe.services.lineage_tree import Node


def machine_path() -> str:
    """Return the path of the JSON form of this page; empty if it has none."""
    path = "/index.json" if request.path == "/" else f"{request.path.rstrip('/')}.json"
    return path if current_app.url_map.bind("").test(path, "GET") else ""


def flag_names(flags: int) -> str:
    """Return the names of the quality flags in a number."""
    return ", ".join(str(f.name).replace("_", " ").lower() for f in QualityFlag(flags))


def branch_words(node: Node) -> str:
    """Return what lies below a node, in words: `3 RegriddedFrames, BiasFrame`."""
    counts = Counter(child.summary.class_name for branch in node.new for child in branch.nodes)
    return ", ".join(name if count == 1 else plural(count, name) for name, count in counts.items())


def with_code(text: str) -> Markup:
    """Return a text as HTML, with what stands between backticks as code.

    >>> with_code("`a < b` holds")
    Markup('<code>a &lt; b</code> holds')
    """
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before
