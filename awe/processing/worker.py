"""Carry out one order: claim it, run its task on detached objects, and write the product, row last."""

import os
import resource
import shutil
import signal
import socket
import threading
import time
import traceback
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Table, select, update
from sqlalchemy.orm import Session

from awe import __version__
from awe.bulk import insert_rows, read_columns
from awe.config import Settings
from awe.database import open_engine, short_transaction
from awe.errors import AweError, TaskFailed
from awe.model.catalogue import SOURCES
from awe.model.frame import Frame, SkyCell
from awe.model.lineage import inputs
from awe.model.persistent import Job, Persistent, Process, QualityFlag, persistent_class, utc_now
from awe.model.sky import cells_of
from awe.processing.claims import Heartbeat, claim, new_job, process_started
from awe.processing.memory import reuse_freed_memory
from awe.processing.orders import Order, assemble, fingerprint
from awe.processing.products import Products
from awe.processing.tasks import task_for
from awe.store import Store


@dataclass(frozen=True)
class Result:
    """What became of an order."""

    number: int
    object_id: int | None
    error: str = ""
    seconds: float = 0.0
    found: bool = False
    """True if another process had made it."""


@cache
def _engine(address: str) -> Engine:
    return open_engine(address)


def scratch_folder(settings: Settings) -> Path:
    """Return the folder for unfinished files of this process."""
    return settings.cache_folder / "work" / f"{os.getpid()}"


def open_store(settings: Settings) -> Store:
    """Return the store of the settings, the same one for the same settings."""
    token = settings.token_file.read_text().strip() if settings.token_file != Path() else None
    return _store(settings.data_server, settings.cache_folder, int(settings.cache_gigabytes * 1e9), token)


@cache
def _store(address: str, folder: Path, size: int, token: str | None) -> Store:
    # a store knows how much it added to its cache: a new one for each task would look at all files each time
    return Store(address, folder, size, token)


def carry_out(order: Order, settings: Settings) -> Result:
    """Make the product of a filled order; a failure is a result, with its reason, and is stored with the job."""
    start = time.monotonic()
    engine = _engine(settings.database)
    job = _job(engine, order, settings)
    try:
        held = claim(engine, job)
    except (AweError, TimeoutError) as error:
        return Result(order.number, None, str(error))
    if isinstance(held, Persistent):
        return Result(order.number, held.object_id, seconds=time.monotonic() - start, found=True)
    try:
        with Heartbeat(engine, held.job_id):
            object_id = _make(engine, order, held, settings, start)
    except Exception as error:  # noqa: BLE001  the border: whatever a task raises becomes the reason of the failed job
        message = _message(order, error, settings)
        _fail(engine, held, error, message, time.monotonic() - start)
        return Result(order.number, None, message, time.monotonic() - start)
    finally:
        shutil.rmtree(scratch_folder(settings), ignore_errors=True)
    return Result(order.number, object_id, seconds=time.monotonic() - start)


def _job(engine: Engine, order: Order, settings: Settings) -> Job:
    task = task_for(persistent_class(order.class_name))
    with short_transaction(engine) as session:
        known = Process.product_class == order.class_name, Process.version == task.version
        process_id = session.scalars(select(Process.process_id).where(*known)).one()
    return new_job(
        product_class=order.class_name,
        target=order.target,
        reason="; ".join(order.reasons),
        fingerprint=fingerprint(order),
        creator=settings.user,
        project=settings.project,
        process_id=process_id,
    )


def _make(engine: Engine, order: Order, job: Job, settings: Settings, start: float) -> int:
    with Session(engine, expire_on_commit=False) as session, session.no_autoflush:
        product = assemble(session, order)
        product.process = session.get(Process, job.process_id)
        product.project = settings.project
        session.expunge_all()
    if order.left_out:
        product.flag(QualityFlag.INPUTS_REJECTED)
        product.note(f"{len(order.left_out)} inputs could not be made, first: {order.left_out[0]}")
    products = Products(
        open_store(settings), scratch_folder(settings), settings.project, partial(read_sources, engine),
        settings.keep_regridded,
    )  # fmt: skip
    task_for(type(product)).function(product, products)
    return _keep(engine, product, products, job, settings, time.monotonic() - start)


def _keep(engine: Engine, product: Any, products: Products, job: Job, settings: Settings, seconds: float) -> int:
    """Write the row of a product whose file is stored, its bulk rows, and the end of the job: all or nothing."""
    product.creator, product.project = settings.user, settings.project
    product.software_version, product.host = __version__, socket.gethostname()
    product.wall_time, product.peak_memory = seconds, peak_memory()
    product.fingerprint, product.job_id = job.fingerprint, job.job_id
    with short_transaction(engine) as session:
        _attach(session, product)
        session.flush()
        for table, columns in products.rows:
            _insert_owned(session, table, product, columns)
        session.execute(
            update(Job)
            .where(Job.job_id == job.job_id)
            .values(state="done", claim=None, finished=utc_now(), wall_time=seconds, peak_memory=product.peak_memory)
        )
        return int(product.object_id)


def _attach(session: Session, product: Any) -> None:
    """Add a product to a session together with the detached objects that it links to."""
    if isinstance(product, Frame) and product.footprint:
        product.cells = [SkyCell(cell=cell) for cell in cells_of(product.footprint)]
    session.add(product)
    for name, declared in inputs(type(product)).items():
        if declared.many:
            for source in getattr(product, name):
                session.add(source)


def read_sources(engine: Engine, slid: int, names: tuple[str, ...]) -> dict[str, Any]:
    """Return columns of the rows of a source list, in order of SID."""
    with engine.connect() as connection:
        return read_columns(connection, SOURCES, names, slid == SOURCES.c.SLID, SOURCES.c.SID)


def _insert_owned(session: Session, table: Table, product: Persistent, columns: dict[str, Any]) -> None:
    owner = next(c.name for c in table.primary_key.columns if c.foreign_keys)
    insert_rows(session.connection(), table, columns, {owner: product.object_id})


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in Mbyte."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _message(order: Order, error: Exception, settings: Settings) -> str:
    if isinstance(error, AweError):
        return f"{order.target}: {error}" if order.target not in str(error) else str(error)
    if isinstance(error, ValueError):
        return str(TaskFailed(f"{order.target}: {error}"))
    if _is_of_the_disk(error):
        free = shutil.disk_usage(settings.cache_folder).free / 1e6
        return (
            f"{order.target}: the disk of {settings.cache_folder} can't be used ({error}): is it full? "
            f"{free:.0f} Mbyte are free; make room, or set AWE_CACHE_FOLDER to a folder on another disk"
        )
    return f"{order.target}: unexpected {type(error).__name__}: {error} (the traceback is with the job: `awe jobs`)"


def _is_of_the_disk(error: Exception) -> bool:
    return isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError)


def _fail(engine: Engine, job: Job, error: Exception, message: str, seconds: float) -> None:
    expected = isinstance(error, AweError | ValueError) or _is_of_the_disk(error)
    told = message if expected else f"{message}\n{traceback.format_exc()}"
    with short_transaction(engine) as session:
        values = {"state": "failed", "claim": None, "error": told, "error_class": type(error).__name__}
        values |= {"finished": utc_now(), "wall_time": seconds, "peak_memory": peak_memory()}
        session.execute(update(Job).where(Job.job_id == job.job_id).values(**values))


def begin(parent: int, started: float) -> None:
    """Prepare a worker: it ends as soon as the process that gave it work is gone, and keeps memory for the next order.

    `started` tells when that one started: it may be gone before this process looks for it. Ctrl-C reaches all
    processes of a terminal: it is left to the one that gives the work.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reuse_freed_memory()

    def watch() -> None:
        while process_started(parent) == started:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
