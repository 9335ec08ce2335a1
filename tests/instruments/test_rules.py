import pytest

from awe.errors import BadRequest
from awe.instruments.rules import Condition, all_hold
from awe.instruments.schema import Where, read_table

CARDS = {"OBSTYPE": "DARK", "OBJECT": "Bias 3", "EXPTIME": 0.0, "BINX": 2, "SHUT": True, "ESO DPR TYPE": "DARK"}


def condition(**table):
    return read_table(Condition, table, Where("test.toml"))


@pytest.mark.parametrize(
    "table",
    [
        {"keyword": "OBSTYPE", "equals": "dark"},
        {"keyword": "BINX", "equals": 2},
        {"keyword": "EXPTIME", "equals": 0},
        {"keyword": "SHUT", "equals": True},
        {"keyword": "OBJECT", "like": "*bias*"},
        {"keyword": "OBJECT", "like": ["zero*", "bias [0-9]"]},
        {"keyword": "OBSTYPE", "one_of": ["BIAS", "DARK"]},
        {"keyword": "EXPTIME", "below": 0.1},
        {"keyword": "BINX", "above": 1},
        {"keyword": "OBJECT", "present": True},
        {"keyword": "FILTER", "present": False},
        {"keyword": "hierarch eso  dpr type", "equals": "DARK"},
    ],
)
def test_conditions_hold(table):
    assert condition(**table).test(CARDS).holds


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"keyword": "OBSTYPE", "equals": "BIAS"}, "OBSTYPE = 'DARK', expected 'BIAS'"),
        ({"keyword": "BINX", "equals": "2x"}, "BINX = 2, expected '2x'"),
        ({"keyword": "SHUT", "equals": 1}, "SHUT = True, expected 1"),
        ({"keyword": "OBJECT", "like": ["zero*", "sky*"]}, "OBJECT = 'Bias 3', expected like 'zero*' or 'sky*'"),
        ({"keyword": "OBJECT", "below": 3}, "OBJECT = 'Bias 3', expected below 3"),
        ({"keyword": "BINX", "above": 2}, "BINX = 2, expected above 2"),
        ({"keyword": "FILTER", "equals": "g"}, "FILTER is absent, expected 'g'"),
        ({"keyword": "FILTER", "present": True}, "FILTER is absent"),
        ({"keyword": "OBJECT", "present": False}, "OBJECT = 'Bias 3'"),
    ],
)
def test_conditions_that_fail_say_why(table, why):
    outcome = condition(**table).test(CARDS)

    assert (outcome.holds, outcome.why) == (False, why)


def test_all_conditions_must_hold_and_the_first_that_fails_is_the_reason():
    both = (condition(keyword="OBSTYPE", equals="DARK"), condition(keyword="EXPTIME", above=1))

    assert all_hold(both, CARDS).why == "EXPTIME = 0.0, expected above 1"
    assert all_hold(both[:1], CARDS).holds
    assert all_hold((), CARDS).holds


@pytest.mark.parametrize("tests", [{}, {"equals": 1, "below": 2}])
def test_a_condition_has_exactly_one_test(tests):
    with pytest.raises(BadRequest, match="exactly one of"):
        condition(keyword="X", **tests)
