"""The class bodies are the specification: what they must say."""

import ast
import inspect as sources
from dataclasses import FrozenInstanceError, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from astropy import units
from sqlalchemy import inspect

from awe import model
from awe.errors import BadRequest
from awe.model.catalogue import ASSOCIATES, SOURCES
from awe.model.lineage import Wanted, inputs, parameters_of
from awe.model.persistent import Persistent, concrete_classes, persistent_class
from awe.processing.tasks import described_parameters, task_for, tasks

CLASSES = concrete_classes()
PRODUCTS = [c for c in CLASSES if inputs(c)]
WITH_PARAMETERS = [c for c in CLASSES if hasattr(c, "Parameters")]
BEYOND_THE_STANDARD = ("electron", "sigma")
"""Units that every astronomer reads, and VOUnits 1.0 lacks."""
SAME_EVERYWHERE = {
    "seeing": "arcsec",
    "gain": "electron/adu",
    "zeropoint": "mag",
    "ra": "deg",
    "dec": "deg",
    "exptime": "s",
}


def own_columns(cls: Any) -> list[Any]:
    """Return the columns that a class declares itself."""
    return list(inspect(cls).local_table.columns)


def named(cls: Any) -> str:
    return cls.__name__


@pytest.mark.parametrize("cls", CLASSES, ids=named)
def test_every_class_says_in_one_sentence_what_it_is(cls: type) -> None:
    first = (cls.__doc__ or "").partition("\n")[0]

    assert first.endswith(".")
    assert len(first) > 15


@pytest.mark.parametrize("cls", CLASSES, ids=named)
def test_every_column_but_the_keys_to_other_tables_says_what_it_is(cls: type) -> None:
    silent = [c.name for c in own_columns(cls) if not c.comment and not c.foreign_keys]

    assert silent == []


@pytest.mark.parametrize("cls", CLASSES, ids=named)
def test_every_unit_is_a_unit_of_the_virtual_observatory(cls: type) -> None:
    written = {c.name: c.info.get("unit", "") for c in own_columns(cls)}
    wrong = {}
    for name, unit in written.items():
        for beyond in BEYOND_THE_STANDARD:
            unit = unit.replace(beyond, "count")  # noqa: PLW2901
        try:
            units.Unit(unit, format="vounit")
        except ValueError as error:
            wrong[name] = str(error)

    assert wrong == {}


@pytest.mark.parametrize("cls", CLASSES, ids=named)
def test_an_attribute_has_the_same_unit_in_every_class(cls: type) -> None:
    attributes = [a for a in inspect(cls).column_attrs if not a.key.startswith("param_")]
    found = {a.key: a.columns[0].info.get("unit") for a in attributes if a.key in SAME_EVERYWHERE}

    assert found == {name: SAME_EVERYWHERE[name] for name in found}


@pytest.mark.parametrize("table", [SOURCES, ASSOCIATES], ids=lambda t: t.name)
def test_every_column_of_the_bulk_tables_says_what_it_is(table: Any) -> None:
    assert [c.name for c in table.columns if not c.comment] == []


@pytest.mark.parametrize("product", PRODUCTS, ids=named)
def test_every_product_has_a_maker_that_says_what_it_does(product: type) -> None:
    task = task_for(product)

    assert task.product_class is product
    assert (sources.getdoc(task.function) or "").partition("\n")[0].endswith(".")


def test_nothing_but_products_is_made() -> None:
    assert [c.__name__ for c in tasks() if c not in PRODUCTS] == []


@pytest.mark.parametrize("product", PRODUCTS, ids=named)
def test_every_input_says_what_it_is_for(product: type) -> None:
    assert [name for name, declared in inputs(product).items() if not declared.doc] == []


@pytest.mark.parametrize("product", PRODUCTS, ids=named)
def test_an_input_without_a_rule_is_part_of_the_key(product: Any) -> None:
    given = {name for name, declared in inputs(product).items() if declared.rule is None}

    assert given <= set(product.__key__)


@pytest.mark.parametrize("cls", CLASSES, ids=named)
def test_the_key_of_a_class_names_its_attributes(cls: Any) -> None:
    keys = set(cls.__key__)

    assert keys <= set(inspect(cls).all_orm_descriptors.keys())
    assert keys or cls in (model.Frame, model.Coadd)


@pytest.mark.parametrize("product", PRODUCTS, ids=named)
def test_inputs_are_defined_before_the_product(product: type) -> None:
    later = [d.source.__name__ for d in inputs(product).values() if CLASSES.index(d.source) > CLASSES.index(product)]

    assert later == []


@pytest.mark.parametrize("cls", CLASSES, ids=named)
def test_links_to_other_objects_are_indexed(cls: Any) -> None:
    table = inspect(cls).local_table
    first = {next(iter(index.columns)).name for index in table.indexes} | {next(iter(table.primary_key)).name}

    assert {c.name for c in table.columns if c.foreign_keys} - first == set()


@pytest.mark.parametrize("cls", CLASSES, ids=named)
def test_an_object_lies_in_at_most_three_tables(cls: Any) -> None:
    assert len(inspect(cls).tables) <= 3


@pytest.mark.parametrize("product", WITH_PARAMETERS, ids=named)
def test_parameters_are_frozen_documented_and_have_defaults(product: Any) -> None:
    assert is_dataclass(product.Parameters)
    default = product.Parameters()
    with pytest.raises(FrozenInstanceError):
        setattr(default, fields(default)[0].name, None)
    assert [f.name for f in fields(default) if not f.metadata["doc"]] == []


@pytest.mark.parametrize("product", WITH_PARAMETERS, ids=named)
def test_the_text_of_parameters_gives_the_parameters_back(product: Any) -> None:
    default = product.Parameters()
    texts = {f.name: str(getattr(v := getattr(default, f.name), "value", v)) for f in fields(default)}

    assert parameters_of(product, **texts) == default


@pytest.mark.parametrize("product", WITH_PARAMETERS, ids=named)
def test_each_parameter_has_a_column_of_its_own(product: Any) -> None:
    stored = {c.name for c in own_columns(product) if "parameter" in c.info}

    assert stored == {f"param_{f.name}" for f in fields(product.Parameters)}
    assert {p["name"] for p in described_parameters(product)} == {f.name for f in fields(product.Parameters)}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sigma_klip": 3}, "BiasFrame has no parameter 'sigma_klip'; its parameters: overscan, combine, sigma_clip"),
        ({"sigma_clip": "wide"}, "parameter sigma_clip of BiasFrame must be a float, got 'wide'"),
        ({"combine": "sum"}, "parameter combine of BiasFrame must be mean or median or clipped or weighted, got 'sum'"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_is_expected(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parameters_of(model.BiasFrame, **given)

    assert str(refusal.value) == said


def test_optional_parameters_and_truth_values_are_read_from_text() -> None:
    assert parameters_of(model.Coadd, maximum_seeing="none").maximum_seeing is None
    assert parameters_of(model.Coadd, maximum_seeing="1.2").maximum_seeing == 1.2
    assert parameters_of(model.RegriddedFrame, subtract_background="no").subtract_background is False
    with pytest.raises(BadRequest, match="must be a bool, got 'maybe'"):
        parameters_of(model.RegriddedFrame, subtract_background="maybe")


def test_a_wrong_class_name_is_answered_by_the_near_ones() -> None:
    with pytest.raises(BadRequest, match=r"no class 'BiasFrames'; near ones: .*BiasFrame"):
        persistent_class("BiasFrames")

    assert persistent_class("biasframe") is model.BiasFrame


def test_a_wrong_attribute_of_a_class_is_answered_by_the_near_ones() -> None:
    with pytest.raises(AttributeError, match=r"Coadd has no attribute 'zeropiont'; near ones: zeropoint"):
        model.Coadd.zeropiont  # noqa: B018


def test_a_class_without_maker_is_refused_with_what_can_be_made() -> None:
    with pytest.raises(BadRequest, match=r"Telescope is not made by awe; it makes .*BiasFrame.*Coadd"):
        task_for(model.Telescope)


def test_no_module_of_the_model_hides_its_annotations_as_text() -> None:
    modules = sorted(Path(model.__file__).parent.glob("*.py"))
    hidden = [m.name for m in modules if "from __future__ import annotations" in m.read_text()]

    assert len(modules) > 10
    assert hidden == []


def test_the_model_has_no_second_list_of_its_classes() -> None:
    """The list for `import *` is checked against the classes themselves."""
    exported = {n for n in model.__all__ if isinstance(getattr(model, n), type)}
    classes = {c.__name__ for c in CLASSES}

    assert classes <= exported


def test_the_modules_of_the_model_are_imported_in_processing_order() -> None:
    tree = ast.parse(Path(model.__file__).read_text())
    order = [n.module for n in tree.body if isinstance(n, ast.ImportFrom) and n.module]
    first = {
        m: min(CLASSES.index(c) for c in CLASSES if c.__module__ == m)
        for m in order
        if any(c.__module__ == m for c in CLASSES)
    }

    assert list(first.values()) == sorted(first.values())


def test_wanted_products_name_their_key() -> None:
    wanted = Wanted(model.BiasFrame, {"chip": None})

    assert set(wanted.key) <= set(model.BiasFrame.__key__)
    assert issubclass(wanted.product_class, Persistent)


def test_parameters_can_be_read_before_an_object_is_stored():
    assert model.ReducedFrame().parameters is None
    assert model.ReducedFrame(parameters=model.ReducedFrame.Parameters()).parameters.maximum_bad == 0.5
