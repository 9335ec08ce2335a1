"""Import all that a worker process needs, once for all of them."""

from awe.processing.tasks import tasks

tasks()
