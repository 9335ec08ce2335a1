"""Queries in the terms of the classes, on both databases."""

from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import func, select

from awe.errors import BadRequest
from awe.model import (
    BiasFrame,
    Chip,
    Coadd,
    Filter,
    Instrument,
    Observation,
    Persistent,
    Process,
    RawBiasFrame,
    RawDomeFlatFrame,
    RawFrame,
    RawScienceFrame,
    RawStandardFrame,
    ReducedFrame,
    SourceList,
    Telescope,
)
from awe.model.queries import Query, connect_queries

pytestmark = pytest.mark.usefixtures("asking")


@pytest.fixture
def bias(archive):
    """A master bias with a read noise of 5.5 adu, of three raw biases."""
    return archive.bias(5.5)


@pytest.fixture
def raws(archive):
    """Four science exposures: g 60, 120, 180 s of Q1010, and r 300 s of J1234 with the other chip."""
    short = [archive.science(10 + i, exptime=60.0 * (i + 1)) for i in range(3)]
    return [*short, archive.science(14, exptime=300.0, filter=archive.r, chip=archive.other_chip, object="J1234")]


@pytest.fixture
def reduced(archive, bias, raws):
    """The first exposure, reduced with the master bias."""
    return archive.reduced(raws[0], bias)


def forget_all_but_the_cameras(session):
    """Empty the session, and let it read the tables that it reads once: telescopes, instruments, chips, filters."""
    session.commit()
    session.expunge_all()
    session.scalars(select(Observation).limit(1)).all()


def test_conditions_on_links_and_values_combine(archive, raws):
    q = (RawScienceFrame.filter.name == "g") & (RawScienceFrame.exptime > 100)
    q &= RawScienceFrame.chip.instrument.name == "EFOSC2"

    assert list(q) == raws[1:3]


def test_or_and_not_combine_too(raws):
    q = (RawScienceFrame.filter.name == "r") | (RawScienceFrame.exptime < 100)

    assert list(q) == [raws[0], raws[3]]
    assert list(~q & (RawScienceFrame.object == "Q1010")) == raws[1:3]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (lambda: RawScienceFrame.exptime == 120, [1]),
        (lambda: RawScienceFrame.exptime != 120, [0, 2, 3]),
        (lambda: RawScienceFrame.exptime < 120, [0]),
        (lambda: RawScienceFrame.exptime <= 120, [0, 1]),
        (lambda: RawScienceFrame.exptime > 180, [3]),
        (lambda: RawScienceFrame.exptime >= 180, [2, 3]),
        (lambda: RawScienceFrame.object.like("J%"), [3]),
        (lambda: RawScienceFrame.object.contains("1010"), [0, 1, 2]),
        (lambda: RawScienceFrame.object.in_(["J1234", "M67"]), [3]),
        (lambda: RawScienceFrame.exptime.between(100, 200), [1, 2]),
        (lambda: RawScienceFrame.airmass.is_(None), [0, 1, 2, 3]),
        (lambda: RawScienceFrame.filter.name.like("r%"), [3]),
        (lambda: RawScienceFrame.chip.name.in_(["ccd51"]), [3]),
        (lambda: RawScienceFrame.filter.instrument.telescope.name == "NTT", [0, 1, 2, 3]),
        (lambda: RawScienceFrame.chip.instrument.telescope.longitude > 0, []),
        (lambda: RawScienceFrame.observation.exptime == 300, [3]),
    ],
)
def test_every_comparison_selects_what_it_says(raws, condition, expected):
    assert [raws.index(frame) for frame in condition()] == expected


def test_paths_go_through_links_that_are_products(reduced):
    assert list(ReducedFrame.bias.read_noise.value < 6) == [reduced]
    assert list(ReducedFrame.bias.read_noise.value > 6) == []


def test_paths_go_through_links_to_many(bias, reduced):
    raw = bias.raw_biases[1]

    assert list(ReducedFrame.bias.raw_biases.object_id == raw.object_id) == [reduced]
    assert list(ReducedFrame.bias.raw_biases.is_valid == 0) == []
    assert list(ReducedFrame.bias.raw_biases.chip.instrument.name == "EFOSC2") == [reduced]


def test_a_path_as_deep_as_the_links_go(archive, bias, reduced):
    coadd = archive.coadd([reduced])

    assert list(Coadd.regridded_frames.reduced.bias.read_noise.raw_biases.chip.instrument.telescope.name == "NTT") == [
        coadd
    ]
    assert list(Coadd.regridded_frames.weight.background.cosmics.reduced.raw.filter.name == "r") == []


def test_inherited_attributes_are_reached_behind_links(bias, reduced):
    assert list(ReducedFrame.raw.night == date(2026, 1, 27)) == [reduced]
    assert list(ReducedFrame.bias.creator == "ann") == [reduced]


def test_a_link_is_compared_with_an_object(archive, bias, raws, reduced):
    unreduced = raws[1]

    assert list(ReducedFrame.raw == raws[0]) == [reduced]
    assert list(ReducedFrame.raw == unreduced) == []
    assert list(RawScienceFrame.chip != archive.chip) == [raws[3]]
    assert list(RawScienceFrame.chip.in_([archive.other_chip])) == [raws[3]]
    assert list(ReducedFrame.bias.read_noise == bias.read_noise) == [reduced]


def test_a_link_to_many_is_asked_for_one_of_them(archive, bias):
    assert list(BiasFrame.raw_biases.contains(bias.raw_biases[2])) == [bias]
    assert list(BiasFrame.raw_biases.contains(archive.biases(1, day=1)[0])) == []


def test_a_condition_on_many_finds_each_object_once(archive, bias):
    other = archive.bias()
    q = BiasFrame.raw_biases.is_valid == 1

    assert list(q) == [bias, other]
    assert len(q) == 2
    assert list(BiasFrame.raw_biases.contains(bias.raw_biases[0]) | (BiasFrame.object_id == other.object_id)) == [
        bias,
        other,
    ]
    assert list(~BiasFrame.raw_biases.contains(bias.raw_biases[0])) == [other]


def test_the_task_and_job_that_made_a_product_are_links_too(session, archive, bias):
    described = {"summary": "", "parameters": "[]", "code_hash": "", "software_version": "0"}
    bias.process = Process(name="make_bias_frame", product_class="BiasFrame", version=3, **described)
    session.flush()

    assert list(BiasFrame.process.version == 3) == [bias]
    assert list(ReducedFrame.bias.process.name == "make_bias_frame") == []
    assert list(BiasFrame.job.state == "failed") == []


def test_the_opposite_of_a_condition_on_a_link_holds_where_there_is_no_link(archive, raws, reduced):
    plain = archive.reduced(raws[1])

    assert list(~(ReducedFrame.bias.read_noise.value < 6)) == [plain]
    assert list(~(ReducedFrame.bias.read_noise.value > 6)) == [reduced, plain]


def test_an_optional_link_may_be_empty(archive, raws, reduced):
    plain = archive.reduced(raws[1])

    assert list(ReducedFrame.bias == None) == [plain]  # noqa: E711
    assert list(ReducedFrame.bias != None) == [reduced]  # noqa: E711


def test_a_link_to_any_frame_reaches_what_frames_have(archive, reduced):
    listed = archive.product(SourceList, frame=reduced)

    assert list(SourceList.frame.object == "Q1010") == [listed]
    assert list(SourceList.frame.filter.name == "r") == []


def test_a_class_selects_its_subclasses_too(archive, bias, raws):
    assert len(RawFrame.select()) == 7
    assert len(RawBiasFrame.select()) == 3
    assert len(RawScienceFrame.select()) == 4
    assert len(RawStandardFrame.select()) == 0


def test_len_index_and_iteration_agree(raws):
    q = RawScienceFrame.select()

    assert len(q) == 4
    assert [q[i] for i in range(4)] == list(q) == raws
    assert [q[-i] for i in range(1, 5)] == raws[::-1]


@pytest.mark.parametrize("index", [4, -5, 100])
def test_an_index_that_is_too_large_is_refused(raws, index):
    with pytest.raises(IndexError, match="in this selection of RawScienceFrame"):
        RawScienceFrame.select()[index]


@pytest.mark.parametrize("part", ["1:3", ":2", "2:", "::2", "-2:", ":-1", "3:1", "10:", ":", "1:4:2", "::-1"])
def test_a_slice_is_that_of_the_list(raws, part):
    numbers = [int(n) if n else None for n in part.split(":")]

    assert RawScienceFrame.select()[slice(*numbers)] == raws[slice(*numbers)]


def test_the_order_is_that_of_an_attribute(raws):
    q = RawScienceFrame.select()

    assert list(q.order_by("-exptime")) == raws[::-1]
    assert q.order_by("-exptime")[0] is raws[3]
    assert q.order_by("-exptime")[-1] is raws[0]
    assert q.order_by("exptime")[-2] is raws[2]
    assert q.order_by("-exptime")[1:3] == [raws[2], raws[1]]


def test_equal_values_are_ordered_by_number(raws):
    assert list(RawScienceFrame.select().order_by("object")) == [raws[3], *raws[:3]]
    assert list(RawScienceFrame.select().order_by("-object")) == [*raws[:3], raws[3]]


def test_unknown_values_come_last_on_every_database(raws):
    raws[1].seeing, raws[2].seeing = 1.2, 0.8
    q = RawScienceFrame.select()

    assert list(q.order_by("seeing")) == [raws[2], raws[1], raws[0], raws[3]]
    assert list(q.order_by("-seeing")) == [raws[1], raws[2], raws[0], raws[3]]
    assert [q.order_by("seeing")[-i] for i in range(1, 5)] == list(q.order_by("seeing"))[::-1]
    assert [q.order_by("-seeing")[-i] for i in range(1, 5)] == list(q.order_by("-seeing"))[::-1]


def test_max_and_min_pass_over_what_is_unknown(raws):
    raws[1].seeing, raws[2].seeing = 1.2, 0.8
    q = RawScienceFrame.select()

    assert q.max("seeing") is raws[1]
    assert q.min("seeing") is raws[2]
    assert q.max("airmass") is None
    assert q.max("date_obs") is raws[3]


def test_first_is_none_where_there_is_none(raws):
    assert RawScienceFrame.select(object="Q1010").first() is raws[0]
    assert RawScienceFrame.select(object="M67").first() is None


def test_project_and_user_restrict_a_selection(archive, raws):
    raws[1].project, raws[2].creator = "KIDS", "bob"
    q = RawScienceFrame.exptime > 0

    assert list(q.project_only()) == [raws[0], raws[2], raws[3]]
    assert list(q.project_only("KIDS")) == [raws[1]]
    assert list(q.user_only()) == [raws[0], raws[1], raws[3]]
    assert list(q.user_only("bob")) == [raws[2]]


def test_without_finds_what_no_product_used(raws, reduced, bias):
    assert list(RawScienceFrame.select().without(ReducedFrame.raw)) == raws[1:]
    assert list((RawScienceFrame.exptime > 100).without(ReducedFrame.raw)) == raws[1:]
    assert list(RawBiasFrame.select().without(BiasFrame.raw_biases)) == []
    assert list(BiasFrame.select().without(ReducedFrame.bias)) == []


def test_without_is_not_confused_by_products_without_the_link(archive, raws):
    archive.reduced(raws[0])
    spare = archive.bias()

    assert list(BiasFrame.select().without(ReducedFrame.bias)) == [spare]


def test_info_says_what_is_selected_and_how_many(raws):
    said = ((RawScienceFrame.filter.name == "g") & (RawScienceFrame.exptime > 100)).info()

    assert said.startswith("2 RawScienceFrame where")
    assert "exptime" in said


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"instrument": "EFOSC2"}, [0, 1, 2, 3]),
        ({"instrument": "WFI"}, []),
        ({"filter": "r"}, [3]),
        ({"chip": "ccd50"}, [0, 1, 2]),
        ({"chip": "ccd5?"}, [0, 1, 2, 3]),
        ({"chip": "*51"}, [3]),
        ({"object": "Q*"}, [0, 1, 2]),
        ({"object": "Q*", "filter": "g", "chip": "ccd50", "instrument": "EFOSC2", "night": "2026-01-27"}, [0, 1, 2]),
        ({"night": date(2026, 1, 27)}, [0, 1, 2, 3]),
        ({"night": "2026-01-28"}, []),
        ({"filter": None}, [0, 1, 2, 3]),
        ({"exptime": 60.0}, [0]),
    ],
)
def test_select_takes_names_and_wildcards(raws, named, expected):
    assert [raws.index(frame) for frame in RawScienceFrame.select(**named)] == expected


def test_select_takes_objects_too(archive, raws):
    assert list(RawScienceFrame.select(chip=archive.other_chip)) == [raws[3]]


@pytest.mark.parametrize(("pattern", "expected"), [("a_*", ["a_b"]), ("50%*", ["50% done"]), ("*", 4), ("a?b", 2)])
def test_only_stars_and_question_marks_are_wildcards(archive, pattern, expected):
    for name in ("a_b", "axb", "50% done", "505 done"):
        archive.science(object=name)
    found = [frame.object for frame in RawScienceFrame.select(object=pattern)]

    assert (found if isinstance(expected, list) else len(found)) == expected


def test_names_are_compared_with_their_case(raws):
    assert list(RawScienceFrame.select(object="q1010")) == []
    assert list(RawScienceFrame.select(object="q*")) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: RawScienceFrame.select(filtre="g"), "RawScienceFrame has no attribute 'filtre'; near ones: filter"),
        (
            lambda: RawScienceFrame.select().order_by("exptim"),
            "RawScienceFrame has no attribute 'exptim'; near ones: exptime",
        ),
        (
            lambda: RawScienceFrame.select().max("exptim"),
            "RawScienceFrame has no attribute 'exptim'; near ones: exptime",
        ),
        (lambda: RawScienceFrame.select(night="yesterday"), "night must be a date like 2026-01-31, got 'yesterday'"),
        (
            lambda: (RawScienceFrame.exptime > 1) & (BiasFrame.mean > 0),
            "conditions on RawScienceFrame and on BiasFrame can't be combined: "
            "start all from one class and follow its links",
        ),
    ],
)
def test_a_wrong_request_is_refused_with_the_way_out(wrong, said):
    with pytest.raises(BadRequest) as refusal:
        wrong()

    assert str(refusal.value).startswith(said)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: ReducedFrame.biass, "ReducedFrame has no attribute 'biass'; near ones: bias"),
        (lambda: ReducedFrame.bias.readnoise, "BiasFrame has no attribute 'readnoise'; near ones: read_noise"),
        (lambda: ReducedFrame.bias.read_noise.valeu, "ReadNoise has no attribute 'valeu'; near ones: value"),
    ],
)
def test_a_wrong_name_in_a_path_is_answered_by_the_near_ones(wrong, said):
    with pytest.raises((AttributeError, BadRequest)) as refusal:
        wrong()

    assert str(refusal.value).startswith(said)


def test_a_query_is_neither_true_nor_false(raws):
    with pytest.raises(TypeError, match=r"combine with & \| ~"):
        bool(RawScienceFrame.exptime > 1)


def test_python_words_between_conditions_are_refused(raws):
    with pytest.raises(TypeError, match=r"combine with & \| ~"):
        _ = RawScienceFrame.exptime > 1 and RawScienceFrame.exptime < 5


def test_conditions_on_a_base_class_narrow_to_the_subclass(raws):
    q = (RawFrame.exptime > 100) & (RawScienceFrame.filter.name == "g")

    assert list(q) == raws[1:3]
    assert q.persistent_class is RawScienceFrame


def test_queries_without_a_database_say_what_to_do():
    connect_queries(None)

    with pytest.raises(BadRequest, match=r"not connected to a database: call awe\.connect"):
        len(RawScienceFrame.select())


@pytest.mark.parametrize(
    "use",
    [
        len,
        list,
        lambda q: q[0],
        lambda q: q[-1],
        lambda q: q[1:3],
        lambda q: q.first(),
        lambda q: q.max("exptime"),
        lambda q: q.min("date_obs"),
        lambda q: list(q.order_by("-exptime")),
        lambda q: list(q.project_only().user_only()),
        lambda q: list(q.without(ReducedFrame.raw)),
        lambda q: q.info(),
    ],
    ids=["len", "list", "index", "negative", "slice", "first", "max", "min", "order_by", "only", "without", "info"],
)
def test_each_use_of_a_query_is_one_statement(session, raws, statements, use):
    q = (RawScienceFrame.filter.name.like("%")) & (RawScienceFrame.chip.instrument.telescope.name == "NTT")
    forget_all_but_the_cameras(session)
    with statements() as sent:
        use(q)

    assert len(sent) == 1, "\n".join(sent)


def test_a_session_reads_each_table_of_cameras_once(session, archive, raws, statements):
    for number in range(5):
        archive.science(16, chip=archive.add(Chip, name=f"chip {number}", instrument=archive.camera))
    session.commit()
    session.expunge_all()
    with statements() as sent:
        seen = [{f.chip.name for f in RawScienceFrame.select()} for _ in range(3)]

    assert len(seen[0]) == 7
    assert len(sent) == 3 + len((Telescope, Instrument, Chip, Filter))


def test_objects_of_all_classes_together_cost_one_statement(session, archive, raws, statements):
    session.commit()
    session.expunge_all()
    with statements() as sent:
        found = session.scalars(select(Persistent)).all()

    assert len(found) > 4
    assert len(sent) == 1


def test_what_describes_a_frame_is_there_when_the_session_is_gone(session, raws):
    session.commit()
    session.expunge_all()
    found = list(RawScienceFrame.select())
    session.expunge_all()

    assert {(f.chip.instrument.telescope.name, f.filter.name, f.observation.instrument.name) for f in found} == {
        ("NTT", "g", "EFOSC2"),
        ("NTT", "r", "EFOSC2"),
    }


def test_a_link_that_was_changed_and_not_stored_yet_is_not_set_back(session, archive, raws):
    session.commit()
    frame = session.get(Persistent, raws[0].object_id)
    with session.no_autoflush:
        frame.chip = archive.other_chip
        session.refresh(frame, ["exptime"])

    assert frame.chip is archive.other_chip


def test_a_camera_that_came_later_is_found(session, archive, raws):
    forget_all_but_the_cameras(session)
    values = {"creator": "ann", "project": "default", "name": "new", "longitude": 0.0, "latitude": 0.0, "altitude": 0.0}
    session.add(Telescope(**values))
    session.flush()

    assert session.scalars(select(Telescope).where(Telescope.name == "new")).one().longitude == 0


def test_building_a_query_asks_nothing(raws, statements):
    with statements() as sent:
        q = (RawScienceFrame.exptime > 1) & (RawScienceFrame.chip.name == "ccd50")
        q.order_by("exptime").project_only()

    assert sent == []


def test_the_links_of_many_frames_cost_no_further_statements(session, archive, raws, statements):
    """What describes a frame (camera, chip, filter, exposure) comes along with it."""
    for i in range(20):
        archive.science(10 + i / 60)
    forget_all_but_the_cameras(session)
    with statements() as sent:
        said = {
            (f.chip.name, f.filter.name, f.instrument.telescope.name, f.observation.object)
            for f in RawScienceFrame.select()
        }

    assert len(sent) == 1
    assert ("ccd50", "g", "NTT", "Q1010") in said


def test_frames_of_mixed_classes_cost_at_most_one_statement_for_each_class(session, archive, statements):
    archive.biases(5)
    for i in range(5):
        archive.raw(RawDomeFlatFrame, timedelta(hours=2, minutes=i))
        archive.science(10 + i / 60)
    forget_all_but_the_cameras(session)
    with statements() as sent:
        for frame in RawFrame.select():
            str(frame), frame.gain, frame.chip.name

    assert len(sent) == 1


def test_ten_products_cost_no_more_statements_than_two(session, archive, bias, statements):
    for i in range(10):
        archive.reduced(archive.science(10 + i / 10), bias)
    forget_all_but_the_cameras(session)
    q = ReducedFrame.bias.read_noise.value < 6
    with statements() as sent:
        few, all_of_them = q[:2], list(q)

    assert (len(few), len(all_of_them)) == (2, 10)
    assert len(sent) == 2


def test_a_query_serves_in_plain_sqlalchemy(session, raws):
    q = (RawScienceFrame.filter.name == "g") & (RawScienceFrame.exptime > 100)

    assert session.scalars(select(RawScienceFrame).where(q)).unique().all() == raws[1:3]
    assert session.scalar(select(func.max(RawScienceFrame.exptime)).where(q)) == 180


def test_a_query_can_be_used_again_after_the_database_changed(archive, raws):
    q = RawScienceFrame.object == "Q1010"
    before = len(q)
    archive.science(15)

    assert (before, len(q)) == (3, 4)


def test_times_are_compared_with_all_their_digits(archive):
    first = archive.science(date_obs=datetime(2026, 1, 28, 3, 0, 0, 123456))
    later = archive.science(date_obs=datetime(2026, 1, 28, 3, 0, 0, 123457))

    assert list(RawScienceFrame.date_obs > first.date_obs) == [later]
    assert list(RawScienceFrame.date_obs == first.date_obs) == [first]


def test_a_query_shows_itself_in_a_notebook(raws):
    html = RawScienceFrame.select(object="Q1010")._repr_html_()

    assert html.startswith("<p>3 RawScienceFrame</p><table>")
    assert isinstance(RawScienceFrame.select(), Query)
    assert len(Chip.select(name="ccd5*")) == 2
