"""Settings of the program, read once at the edge from AWE_* variables, awe.toml and defaults."""

import getpass
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from awe.errors import BadRequest


def _home() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local/share")) / "awe"


def _setting(default: Any, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True)
class Settings:
    """Everything that can be configured; each field is AWE_<NAME> in the environment, <name> in awe.toml."""

    home: Path = _setting(Path(), "folder of the embedded database, the data server's files and the caches")
    database: str = _setting("", "SQLAlchemy address of the database; empty: SQLite in `home`")
    data_server: str = _setting("", "address of the data server; empty: one for `data_folder`, started when needed")
    token_file: Path = _setting(Path(), "file with the token for writing to the data server; empty: none is needed")
    data_folder: Path = _setting(Path(), "where the data server started by awe keeps its files; empty: in `home`")
    cache_folder: Path = _setting(Path(), "local cache of files and pictures; empty: in `home`")
    cache_gigabytes: float = _setting(10.0, "size to which the local cache is kept")
    instruments: Path = _setting(Path(), "folder with the user's own instrument files (TOML)")
    project: str = _setting("default", "project of new objects")
    user: str = _setting("", "creator of new objects; empty: the login name")
    host: str = _setting("127.0.0.1", "address the web servers bind to")
    port: int = _setting(8000, "port of the web pages")
    service_addresses: str = _setting(
        "", "where other services are found that run alone, such as `imageview=http://b:8002 cutouts=http://c:8003`"
    )
    open_reading: bool = _setting(
        True, "whether all who reach the pages may read everything; false: only what is for the world, or signed in"
    )
    keep_regridded: bool = _setting(
        True, "whether files of regridded frames are kept; coadds are the same without them, and made sooner"
    )
    workers: int = _setting(0, "processes that make products; 0: one for each core")

    def __post_init__(self) -> None:
        """Fill the settings that depend on others."""
        derived: dict[str, Callable[[], Any]] = {
            "home": _home,
            "data_folder": lambda: self.home / "files",
            "cache_folder": lambda: self.home / "cache",
            "database": lambda: f"sqlite:///{self.home / 'awe.db'}",
            "user": getpass.getuser,
            "workers": lambda: os.cpu_count() or 1,
        }
        for name, value in derived.items():
            if getattr(self, name) in ("", Path(), 0):
                object.__setattr__(self, name, value())


def load_settings(environ: Mapping[str, str] = os.environ, **given: Any) -> Settings:
    """Return the settings: those given, else from the environment, else from awe.toml, else the defaults.

    The file is `$AWE_CONFIG`, or `awe.toml` in the working directory if there is one.
    """
    values = _from_file(Path(environ.get("AWE_CONFIG", "awe.toml")), required="AWE_CONFIG" in environ)
    known = {f.name: f for f in fields(Settings)}
    values |= {name: environ[f"AWE_{name.upper()}"] for name in known if f"AWE_{name.upper()}" in environ}
    values |= {name: value for name, value in given.items() if value is not None}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise BadRequest(f"no setting {', '.join(unknown)}; the settings are {', '.join(known)}")
    return Settings(**{name: _converted(name, known[name].type, value) for name, value in values.items()})


def _from_file(path: Path, required: bool) -> dict[str, Any]:
    if not path.is_file():
        if required:
            raise BadRequest(f"settings file {path} (from AWE_CONFIG) does not exist")
        return {}
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise BadRequest(f"settings file {path} is not TOML: {error}") from error


_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _converted(name: str, kind: Any, value: Any) -> Any:
    if kind is bool and str(value).strip().lower() in _TRUTH:
        return _TRUTH[str(value).strip().lower()]
    if kind is bool:
        raise BadRequest(f"setting {name} must be true or false, got {value!r}")
    try:
        return Path(value).expanduser().absolute() if kind is Path else kind(value)
    except (TypeError, ValueError) as error:
        raise BadRequest(f"setting {name} must be a {kind.__name__}, got {value!r}") from error
