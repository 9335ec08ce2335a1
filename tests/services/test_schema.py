"""The pages keep to their OpenAPI description, asked by schemathesis."""

from typing import Any

import pytest

schemathesis = pytest.importorskip("schemathesis", reason="install awe[dev]")

CASES = 3
"""Generated requests of each address."""
REFUSED = {400, 401, 403, 404, 409, 413, 422}


def test_every_address_keeps_to_its_description(app: Any) -> None:
    """What is generated from the description is answered by a kind of answer that it names, or refused."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.strategies import just

    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    wrong: list[str] = []
    asked = 0
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
        kinds = set(operation.definition.raw["responses"]["200"]["content"])

        def ask(case: Any, kinds: set[str]) -> None:
            nonlocal asked
            asked += 1
            answer = case.call()
            kind = answer.headers.get("content-type", [""])[0].partition(";")[0]
            if answer.status_code >= 500 or (answer.status_code >= 400 and answer.status_code not in REFUSED):
                wrong.append(f"{answer.status_code} at {case.method} {case.formatted_path} {case.query}")
            elif answer.status_code == 200 and kind not in kinds:
                wrong.append(f"{kind}, not {kinds}, at {case.formatted_path} {case.query}")

        bounded(given(case=operation.as_strategy(), kinds=just(kinds))(ask))()
    assert "\n".join(wrong) == ""
    assert asked > 100
