"""The parts know only what lies below them, and each module can be read in one sitting."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(path.relative_to(ROOT) for folder in ("awe", "dataservers") for path in (ROOT / folder).rglob("*.py"))
FLOOR = {"errors"}
MODEL_USES = {
    "config",
    "kernels.choices",
    "kernels.wcs",
}
"""Choices that users make are enumerations beside the kernels; places on the sky need a projection."""
MAY_USE = {
    "kernels": set(),
    "model": FLOOR | MODEL_USES,
    "simulation": {"kernels", "fits"} | FLOOR,
    "instruments": {"kernels", "fits", "fits_layout", "fits_verify", "model"} | FLOOR,
    "catalogues": FLOOR,
    "processing": {
        "kernels", "model", "store", "fits", "fits_layout", "fits_sections", "fits_writing", "psf_files", "bulk",
        "catalogues", "config", "database", "instruments", "local", "log",
    } | FLOOR,
    "services": {
        "kernels", "model", "processing", "store", "fits", "psf_files", "bulk", "config", "database", "file_cache",
        "instruments", "local", "log",
    } | FLOOR,
    "store": {"fits", "config", "file_cache", "connections"} | FLOOR,
    "fits": {"fits_layout", "fits_tiles", "fits_verify"} | FLOOR,
    "fits_writing": {"fits_layout", "fits_tiles"} | FLOOR,
    "fits_tiles": {"fits_layout"} | FLOOR,
    "errors": set(),
}  # fmt: skip
BORDERS = {
    "awe/processing/worker.py": "whatever a task raises becomes the reason of the failed job",
    "awe/catalogues/__init__.py": "the readers of tables raise what they like",
    "awe/cli/failures.py": "the top of the command line",
    "dataservers/protocol.py": "the request handler",
    "dataservers/server.py": "the request handler",
    "awe/services/failures.py": "the request handler",
    "awe/services/position_lists.py": "the readers of tables raise what they like",
    "awe/services/workshop.py": "all who wait for a picture hear of what went wrong",
    "awe/kernels/wcs.py": "wcslib raises a dozen classes; translated at once",
}
"""Where any exception may be caught, and why."""
REGISTERS = ("make_queryable(", "tasks()", "configure_mappers()", "register_link(", "depcuts.add_url_rule(")
"""Calls that make classes, tasks, links and addresses known."""
WORKS_AT_IMPORT = {
    "awe/prompt.py": "it is imported for what it does: `from awe import *` in a notebook",
    "awe/processing/preload.py": "it is imported for what it does: the process that workers come from loads it",
    "dataservers/__init__.py": "reads its own version",
}


def tree(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text())


def imported(module: Path) -> Iterator[str]:
    """Yield the dotted names within awe that a module imports, wherever it does."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "awe":
            inner = node.module.split(".")[1:]
            yield from (".".join([*inner, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[2] for alias in node.names if alias.name.split(".")[0] == "awe")


def part(module: Path) -> str:
    return module.parts[1].removesuffix(".py")


def functions(inside: ast.AST) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(inside) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize(
    "module", ["awe.model", "awe.cli", "awe.cli.find", "awe.cli.objects", "awe.cli.lineage", "awe.cli.targets"]
)
def test_what_only_looks_starts_without_the_compiler(module):
    """Numba and its like cost seconds, which only those who make something need to pay."""
    asked = f"import sys, {module}; print(*sorted({{'numba', 'scipy', 'sep'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_there_are_modules_to_look_at():
    assert len(MODULES) > 100


@pytest.mark.parametrize("module", [m for m in MODULES if m.parts[0] == "awe" and part(m) in MAY_USE], ids=str)
def test_imports_point_downward(module):
    allowed = MAY_USE[part(module)] | {part(module)}
    upward = [
        name
        for name in imported(module)
        if name != "__version__" and not any(name == a or name.startswith(f"{a}.") for a in allowed)
    ]

    assert upward == []


@pytest.mark.parametrize("module", [m for m in MODULES if m.parts[0] == "dataservers"], ids=str)
def test_data_servers_know_nothing_of_awe(module):
    assert list(imported(module)) == []


@pytest.mark.parametrize("module", [m for m in MODULES if m.parts[:2] == ("awe", "kernels")], ids=str)
def test_kernels_know_no_files_tables_or_pages(module):
    names = {n.module or "" for n in ast.walk(tree(module)) if isinstance(n, ast.ImportFrom)}
    names |= {a.name for n in ast.walk(tree(module)) if isinstance(n, ast.Import) for a in n.names}
    foreign = {n for n in names if n.split(".")[0] in {"sqlalchemy", "flask", "logging", "requests"}}

    assert foreign == set()
    assert not {n for n in names if n.startswith("astropy.io")} or module.name == "wcs.py"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_can_be_read_in_one_sitting(module):
    assert len((ROOT / module).read_text().splitlines()) <= 400


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_function_fits_on_a_page(module):
    def code(function: ast.FunctionDef) -> int:
        documented = function.body[0] if ast.get_docstring(function) else None
        return (
            (function.end_lineno or 0)
            - function.lineno
            + 1
            - ((documented.end_lineno or 0) - documented.lineno + 1 if documented else 0)
        )

    assert {f.name: code(f) for f in functions(tree(module)) if code(f) > 60} == {}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_says_in_one_sentence_what_it_is_about(module):
    first = (ast.get_docstring(tree(module)) or "").partition("\n")[0]

    assert first
    assert first.rstrip()[-1] in ".:`" or (ast.get_docstring(tree(module)) or "").split("\n\n")[0].endswith(".")


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_public_functions_say_what_they_do(module):
    whole = tree(module)
    everything = functions(whole)
    inner = {f for outer in everything for f in functions(outer) if f is not outer}
    inner |= {f for c in ast.walk(whole) if isinstance(c, ast.ClassDef) and c.name[0] == "_" for f in functions(c)}
    silent = [
        f.name
        for f in everything
        if f not in inner
        and not f.name.startswith(("_", "do_"))  # do_GET is called by the server of the standard library
        and not ast.get_docstring(f)
        and not any("overload" in ast.unparse(d) or "setter" in ast.unparse(d) for d in f.decorator_list)
    ]

    assert silent == []


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_any_exception_is_caught_only_at_the_borders(module):
    caught = [
        node.lineno
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
    ]

    assert caught == [] or module.as_posix() in BORDERS


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_nothing_works_at_import(module):
    """A module defines names; it opens, connects, reads and prints nothing. Calls on their own are for registers."""
    working = []
    for node in tree(module).body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            working.append(ast.unparse(node))
        elif isinstance(node, ast.For | ast.While | ast.With | ast.Try):
            working.append(ast.unparse(node).partition("\n")[0])
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            opened = {"open", "create_engine", "open_engine", "load_settings", "create_app", "Settings", "urlopen"}
            calls = [c for c in ast.walk(node.value) if isinstance(c, ast.Call)]
            working += [ast.unparse(node) for c in calls if ast.unparse(c.func).rpartition(".")[2] in opened]
    allowed = module.as_posix() in WORKS_AT_IMPORT or module.name == "__main__.py"

    assert allowed or [w for w in working if not w.startswith(REGISTERS)] == []


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_names_say_what_a_module_is(module):
    empty = {
        "utils",
        "util",
        "helpers",
        "helper",
        "common",
        "base",
        "manager",
        "handler",
        "data",
        "info",
        "process",
        "misc",
    }

    assert module.stem not in empty
