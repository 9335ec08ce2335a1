"""Data servers: files by unique name, over HTTP; runs without the database and without awe."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("awe")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "unreleased"
