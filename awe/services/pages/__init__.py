"""The pages: each reads the request, calls one function that knows nothing of the web, and renders."""

from awe.services.pages.aladin import aladin
from awe.services.pages.api import api
from awe.services.pages.compare import compare
from awe.services.pages.coverage import coverage
from awe.services.pages.find import find
from awe.services.pages.health import health
from awe.services.pages.help import help_page
from awe.services.pages.jobs import jobs
from awe.services.pages.judgements import judgements
from awe.services.pages.objects import objects
from awe.services.pages.processes import processes
from awe.services.pages.psf import psf_pages
from awe.services.pages.query import query
from awe.services.pages.signing import signing
from awe.services.pages.sources import sources
from awe.services.pages.start import start
from awe.services.pages.tables import tables
from awe.services.pages.tree import tree

COMMON = (health, api, help_page, signing)
"""What every application has, whatever services it offers."""
DBVIEW = (
    start,
    find,
    query,
    tables,
    objects,
    psf_pages,
    sources,
    aladin,
    judgements,
    compare,
    coverage,
    tree,
    processes,
    jobs,
)
