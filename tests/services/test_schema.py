"""The pages keep to their OpenAPI description, asked by schemathesis."""

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from awe.config import Settings
from awe.model.access import issue_token
from awe.services.app import create_app

schemathesis = pytest.importorskip("schemathesis", reason="install awe[dev]")

CASES = 3
"""Generated requests of each address."""
REFUSED = {400, 401, 403, 404, 409, 413, 415, 422, 429}


@pytest.fixture
def site(world: Any, engine: Engine, tmp_path: Path) -> tuple[Flask, dict[str, str]]:
    """The pages over a copy of the database, and the header of somebody who may judge."""
    with Session(engine) as session:
        text = issue_token(session, "ann", "default")[1]
        session.commit()
    return create_app(Settings(home=tmp_path), engine, world.store), {"Authorization": f"Bearer {text}"}


def test_every_address_keeps_to_its_description(site: tuple[Flask, dict[str, str]]) -> None:
    """What is generated from the description is answered by a kind of answer that it names, or refused."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.strategies import just

    app, header = site
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    wrong: list[str] = []
    asked: dict[str, int] = {}
    bounded = settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for found in schema.get_all_operations():
        operation = found.ok()
        answers = operation.definition.raw["responses"]
        kinds = {code: set(told["content"]) for code, told in answers.items() if "content" in told}

        def ask(case: Any, kinds: dict[str, set[str]]) -> None:
            asked[case.method] = asked.get(case.method, 0) + 1
            answer = case.call(headers=header)
            kind = answer.headers.get("content-type", [""])[0].partition(";")[0]
            if answer.status_code >= 500 or (answer.status_code >= 400 and answer.status_code not in REFUSED):
                wrong.append(f"{answer.status_code} at {case.method} {case.formatted_path} {case.query}")
            elif answer.status_code < 300 and kind not in kinds.get(str(answer.status_code), ()):
                wrong.append(f"{answer.status_code} {kind}, not {kinds}, at {case.formatted_path} {case.query}")

        bounded(given(case=operation.as_strategy(), kinds=just(kinds))(ask))()
    assert "\n".join(wrong) == ""
    assert asked["GET"] > 100
    assert asked["POST"] >= 5 * CASES
