"""The pages: each reads the request, calls one function that knows nothing of the web, and renders."""

from awe.services.pages.api import api
from awe.services.pages.find import find
from awe.services.pages.health import health
from awe.services.pages.jobs import jobs
from awe.services.pages.objects import objects
from awe.services.pages.processes import processes
from awe.services.pages.start import start
from awe.services.pages.tables import tables
from awe.services.pages.tree import tree

COMMON = (health, api)
"""What every application has, whatever services it offers."""
DBVIEW = (start, find, tables, objects, tree, processes, jobs)
