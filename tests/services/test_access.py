"""Who may see, judge and comment: tokens, signing in, forged requests, history."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from awe.config import Settings
from awe.errors import BadRequest, NotAllowed, NotSignedIn
from awe.model import AccessToken, Coadd, Judgement, Persistent, ReducedFrame, SignedIn
from awe.model.access import ANYBODY, Person, issue_token, require_judge, restrict, revoke_token
from awe.model.judgement import judge
from awe.model.persistent import Job, utc_now
from awe.services.app import create_app
from awe.services.visitors import COOKIE


@pytest.fixture
def site(world: Any, engine: Engine, tmp_path: Path) -> FlaskClient:
    """The pages over that copy, open to all readers."""
    return create_app(Settings(home=tmp_path), engine, world.store).test_client()


@pytest.fixture
def closed(world: Any, engine: Engine, tmp_path: Path) -> FlaskClient:
    """The pages over that copy, where not everybody may see everything."""
    return create_app(Settings(home=tmp_path, open_reading=False), engine, world.store).test_client()


def token(engine: Engine, user: str = "ann", project: str = "default") -> str:
    with Session(engine) as session:
        text = issue_token(session, user, project)[1]
        session.commit()
    return text


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def form_of(client: FlaskClient, object_id: int) -> str:
    """Return the token of the form on the page of an object."""
    return client.get(f"/object/{object_id}").text.partition('name="form" value="')[2].partition('"')[0]


def enter(client: FlaskClient, text: str, following: str = "/") -> Any:
    return client.post("/signin", data={"token": text, "next": following})


def judge_by_form(client: FlaskClient, object_id: int, **given: Any) -> Any:
    sent = {"form": form_of(client, object_id), "text": "stripes"} | given
    return client.post(f"/object/{object_id}/judge", data=sent)


def entries(engine: Engine, object_id: int) -> list[Judgement]:
    with Session(engine) as session:
        return list(session.scalars(select(Judgement).where(Judgement.object_id == object_id)))


def state(engine: Engine, object_id: int) -> tuple[int, int, str | None]:
    with Session(engine) as session:
        found = session.get_one(Persistent, object_id)
        return found.is_valid, found.quality_flags, found.judgement


# tokens and signing in


def test_a_token_is_never_kept(engine: Engine) -> None:
    text = token(engine)
    with Session(engine) as session:
        kept = session.scalars(select(AccessToken)).one()

    assert text not in str(vars(kept))
    assert len(kept.digest) == 64


def test_who_has_a_token_signs_in_and_out(site: FlaskClient, engine: Engine) -> None:
    answer = enter(site, token(engine), "/nights")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/nights")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "ann" in site.get("/").text
    form = site.get("/").text.partition('name="form" value="')[2].partition('"')[0]
    assert site.post("/signout", data={"form": form}).status_code == 303
    assert "Sign in" in site.get("/").text
    with Session(engine) as session:
        assert session.scalars(select(SignedIn)).all() == []


def test_the_secret_of_the_browser_is_stored_as_its_hash(site: FlaskClient, engine: Engine) -> None:
    secret = enter(site, token(engine)).headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    with Session(engine) as session:
        kept = session.scalars(select(SignedIn)).one()

    assert len(secret) >= 32
    assert secret not in str(vars(kept))


def test_a_wrong_token_lets_nobody_in(site: FlaskClient) -> None:
    for text in ("", "awe_wrong", "'; drop table access_token --", "x" * 100_000, "\u202e"):
        answer = site.post("/signin", data={"token": text})

        assert answer.status_code == 401
        assert "does not hold" in answer.text
        assert "Set-Cookie" not in answer.headers


def test_a_session_ends(site: FlaskClient, engine: Engine) -> None:
    enter(site, token(engine))
    with Session(engine) as session:
        session.execute(update(SignedIn).values(expires=utc_now() - timedelta(seconds=1)))
        session.commit()

    assert "Sign out" not in site.get("/").text


def test_a_revoked_token_ends_what_was_begun_with_it(site: FlaskClient, engine: Engine, world: Any) -> None:
    text, coadd = token(engine), world.ids["Coadd"]
    enter(site, text)
    form = form_of(site, coadd)
    with Session(engine) as session:
        revoke_token(session, session.scalars(select(AccessToken)).one().token_id)
        session.commit()

    assert "Sign out" not in site.get("/").text
    assert site.post(f"/object/{coadd}/judge", data={"form": form, "text": "x"}).status_code == 401
    assert site.post(f"/object/{coadd}/judge", json={"text": "x"}, headers=bearer(text)).status_code == 401
    assert enter(site, text).status_code == 401
    assert entries(engine, coadd) == []


def test_who_fails_too_often_must_wait(site: FlaskClient, engine: Engine) -> None:
    codes = [enter(site, f"awe_{i}").status_code for i in range(12)]

    assert codes == [401] * 10 + [429] * 2
    assert enter(site, token(engine)).status_code == 429
    assert site.get("/").status_code == 200


def test_signing_in_leads_nowhere_else(site: FlaskClient, engine: Engine) -> None:
    text = token(engine)

    for address in ("//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"):
        assert enter(site, text, address).status_code == 400, address
        assert site.get("/signin", query_string={"next": address}).status_code == 400


def test_a_secret_is_in_no_address_or_page(site: FlaskClient, engine: Engine, world: Any) -> None:
    text = token(engine)
    answer = enter(site, text, f"/object/{world.ids['Coadd']}")
    secret = answer.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    page = site.get(answer.headers["Location"]).text

    assert text not in answer.headers["Location"]
    assert text not in page
    assert secret not in page


# judging


def test_a_member_of_the_project_judges_by_the_form(site: FlaskClient, engine: Engine, world: Any) -> None:
    coadd = world.ids["Coadd"]
    enter(site, token(engine))
    answer = judge_by_form(site, coadd, is_valid="invalid", quality_flags=["", "inputs_rejected", "few_inputs"])

    assert (answer.status_code, answer.headers["Location"]) == (303, f"/object/{coadd}#judgements")
    assert state(engine, coadd) == (0, 65, "stripes")
    said = [(e.creator, e.subject, e.before, e.after, e.text) for e in entries(engine, coadd)]
    assert said == [("ann", "is_valid", 1, 0, "stripes"), ("ann", "quality_flags", 64, 65, "stripes")]
    page = site.get(f"/object/{coadd}").text
    assert "valid → invalid" in page
    assert "inputs rejected → few inputs, inputs rejected" in page


def test_a_script_judges_by_its_token(site: FlaskClient, engine: Engine, world: Any) -> None:
    coadd = world.ids["Coadd"]
    sent = {"is_valid": "proposed", "quality_flags": ["few inputs"], "text": "good"}
    answer = site.post(f"/object/{coadd}/judge", json=sent, headers=bearer(token(engine)))

    assert [r["after"] for r in answer.get_json()["recorded"]] == [2, 1]
    assert state(engine, coadd) == (2, 1, "good")
    assert site.get(f"/object/{coadd}.json").get_json()["history"][0]["creator"] == "ann"


def test_the_creator_judges_without_a_project(site: FlaskClient, engine: Engine, world: Any) -> None:
    answer = site.post(
        f"/object/{world.ids['Coadd']}/judge",
        json={"is_valid": 0, "text": "mine"},
        headers=bearer(token(engine, "rees", "")),
    )

    assert answer.status_code == 200


def test_somebody_else_may_comment_and_no_more(site: FlaskClient, engine: Engine, world: Any) -> None:
    coadd, header = world.ids["Coadd"], bearer(token(engine, "eve", "other"))
    refused = site.post(f"/object/{coadd}/judge", json={"is_valid": 0, "text": "bad"}, headers=header)
    told = site.post(f"/object/{coadd}/judge", json={"text": "<b>nice</b> {{7*7}}"}, headers=header)

    assert refused.status_code == 403
    assert "eve (project other) may not judge" in refused.get_json()["error"]
    assert told.get_json()["recorded"][0]["subject"] == "comment"
    assert state(engine, coadd) == (1, 64, None)
    assert "&lt;b&gt;nice&lt;/b&gt; {{7*7}}" in site.get(f"/object/{coadd}").text


def test_anybody_else_writes_nothing(site: FlaskClient, engine: Engine, world: Any) -> None:
    coadd = world.ids["Coadd"]

    assert site.post(f"/object/{coadd}/judge", json={"text": "x"}).status_code == 401
    assert site.post(f"/object/{coadd}/judge", data={"text": "x"}).status_code == 401
    assert entries(engine, coadd) == []
    assert "Sign in" in site.get(f"/object/{coadd}").text


REFUSED: list[tuple[Any, str]] = [
    ({}, "text is missing"),
    ({"text": ""}, "text is missing"),
    ({"text": " \n "}, "text is missing"),
    ({"text": "x" * 4001}, "at most 4000"),
    ({"text": "a\x00b"}, "control characters"),
    ({"text": 5}, "must be a string"),
    ({"text": "x", "is_valid": 3}, "is_valid must be invalid or valid or proposed or 0 or 1 or 2, got '3'"),
    ({"text": "x", "is_valid": True}, "is_valid must be"),
    ({"text": "x", "is_valid": "fine"}, "is_valid must be invalid or valid or proposed"),
    ({"text": "x", "is_valid": 10**30}, "is_valid must be"),
    ({"text": "x", "quality_flags": -1}, "quality_flags must be"),
    ({"text": "x", "quality_flags": 1 << 40}, "quality_flags must be"),
    ({"text": "x", "quality_flags": ["odd"]}, "no quality flag 'odd'"),
    ({"text": "x", "quality_flags": {}}, "quality_flags must be"),
    ({"text": "x", "creator": "root"}, "no field 'creator' can be sent here"),
    ([1], "JSON object"),
]


def test_a_judgement_that_can_not_be_meant_is_refused(site: FlaskClient, engine: Engine, world: Any) -> None:
    coadd, header = world.ids["Coadd"], bearer(token(engine))
    for sent, said in REFUSED:
        answer = site.post(f"/object/{coadd}/judge", json=sent, headers=header)
        assert answer.status_code == 400, sent
        assert said in answer.get_json()["error"]

    assert state(engine, coadd) == (1, 64, None)
    assert entries(engine, coadd) == []


def test_nothing_is_said_of_an_object_that_is_not_there(site: FlaskClient, engine: Engine) -> None:
    answer = site.post("/object/99999/judge", json={"text": "x"}, headers=bearer(token(engine)))

    assert answer.status_code == 404
    assert site.get("/object/99999/judge").status_code == 405
    broken = {"data": b"{", "headers": bearer(token(engine)), "content_type": "application/json"}
    assert site.post("/object/1/judge", **broken).status_code == 400


# forged requests


FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost:81"},
)


def test_another_site_can_not_write(site: FlaskClient, engine: Engine, world: Any) -> None:
    coadd = world.ids["Coadd"]
    enter(site, token(engine))
    sent = {"form": form_of(site, coadd), "text": "forged"}

    for headers in FOREIGN:
        assert site.post(f"/object/{coadd}/judge", data=sent, headers=headers).status_code == 403
        assert site.post("/signin", data={"token": token(engine, "eve")}, headers=headers).status_code == 403
    assert entries(engine, coadd) == []
    assert site.post(f"/object/{coadd}/judge", data=sent, headers={"Origin": "http://localhost"}).status_code == 303


def test_a_form_that_is_not_ours_writes_nothing(site: FlaskClient, engine: Engine, world: Any) -> None:
    coadd = world.ids["Coadd"]
    enter(site, token(engine))

    for form in ("", "0" * 64, "é"):
        assert judge_by_form(site, coadd, form=form).status_code == 403
        assert site.post("/signout", data={"form": form}).status_code == 403
    assert site.post(f"/object/{coadd}/judge", json={"text": "x"}).status_code == 403
    assert entries(engine, coadd) == []


def test_the_form_of_one_visitor_is_of_no_use_to_another(world: Any, engine: Engine, site: FlaskClient) -> None:
    coadd, other = world.ids["Coadd"], site.application.test_client()
    enter(site, token(engine))
    enter(other, token(engine, "eve"))

    assert form_of(site, coadd) != form_of(other, coadd)
    assert judge_by_form(site, coadd, form=form_of(other, coadd)).status_code == 403


# the rule itself, as commands and prompt use it


def test_one_rule_says_who_may_judge(engine: Engine, world: Any) -> None:
    with Session(engine) as session:
        coadd = session.get_one(Coadd, world.ids["Coadd"])
        require_judge(Person("rees", ""), coadd)
        require_judge(Person("ann", "default"), coadd)
        with pytest.raises(NotAllowed, match="project other"):
            require_judge(Person("ann", "other"), coadd)
        with pytest.raises(NotSignedIn):
            require_judge(ANYBODY, coadd)
        coadd.privileges = 1
        with pytest.raises(NotAllowed, match="for own use"):
            require_judge(Person("ann", "default"), coadd)


def test_the_history_says_what_changed_in_words() -> None:
    def words(subject: str, before: int | None, after: int | None) -> str:
        return Judgement(subject=subject, before=before, after=after).change

    assert words("is_valid", 1, 0) == "valid → invalid"
    assert words("is_valid", 1, 1) == "valid, again"
    assert words("quality_flags", 0, 1) == "none → few inputs"
    assert words("comment", None, None) == ""


def test_flags_that_stay_as_they_are_make_a_comment(engine: Engine, world: Any) -> None:
    with Session(engine) as session:
        coadd = session.get_one(Coadd, world.ids["Coadd"])
        said = judge(session, coadd, Person("rees"), "looked at", quality_flags=64)

        assert [entry.subject for entry in said] == ["comment"]


def test_a_token_is_for_a_name(engine: Engine) -> None:
    for user in ("", " ", "a\nb", "x" * 65):
        with Session(engine) as session, pytest.raises(BadRequest, match="user must be a name"):
            issue_token(session, user)


# reading where not everybody may see everything


def hide(engine: Engine, of: dict[int, int]) -> None:
    """Give objects these privileges."""
    with Session(engine) as session:
        for object_id, value in of.items():
            session.execute(update(Persistent).where(Persistent.object_id == object_id).values(privileges=value))
        session.commit()


def test_who_reaches_an_open_site_sees_all(site: FlaskClient, engine: Engine, world: Any) -> None:
    hide(engine, of={world.ids["Coadd"]: 1})

    assert site.get(f"/object/{world.ids['Coadd']}").status_code == 200


def test_a_closed_site_shows_what_is_for_the_world(closed: FlaskClient, engine: Engine, world: Any) -> None:
    coadd, reduced = world.ids["Coadd"], world.ids["ReducedFrame"]
    hide(engine, of={coadd: 4})
    page = closed.get(f"/object/{coadd}")

    assert page.status_code == 200
    assert "private" in page.headers["Cache-Control"]
    for address in (
        f"/object/{reduced}",
        f"/object/{reduced}.json",
        f"/object/{reduced}/file",
        f"/object/{reduced}/header",
        f"/object/{reduced}/tree",
        f"/object/{reduced}/branch",
        f"/object/{reduced}/why",
        f"/object/{reduced}/why-not",
        f"/compare/{reduced}/{coadd}",
        f"/object/{world.ids['SourceList']}/sources",
    ):
        assert closed.get(address).status_code == 404, address
    assert closed.get("/table/ReducedFrame.json").get_json()["rows"] == []
    assert closed.get("/find?q=ReducedFrame-1.fits").status_code == 404
    assert closed.get("/jobs.json").get_json()["jobs"] == []
    assert [n["counts"] for n in closed.get("/nights.json").get_json()["nights"]] == [{"Coadd": 1}]
    assert set(closed.get(f"/object/{coadd}/tree.json").get_json()["objects"]) == {str(coadd)}


def test_nothing_that_a_closed_site_shows_names_what_is_hidden(closed: FlaskClient, engine: Engine, world: Any) -> None:
    coadd = world.ids["Coadd"]
    hide(engine, of={coadd: 4})
    hidden = ("RegriddedFrame ", "SourceList ", "ReducedFrame 1", "BiasFrame ")
    for address in (f"/object/{coadd}", f"/object/{coadd}/why", "/", f"/object/{coadd}?depth=3", "/table/Frame"):
        text = closed.get(address).text
        shown = [word for word in hidden if any(f"{word}{number}" in text for number in range(1, 100))]
        assert shown == [], address


def test_who_signed_in_sees_what_is_theirs(closed: FlaskClient, engine: Engine, world: Any) -> None:
    coadd, reduced, weight = world.ids["Coadd"], world.ids["ReducedFrame"], world.ids["WeightFrame"]
    hide(engine, of={coadd: 1, weight: 3})
    member, creator, other = (bearer(token(engine, *who)) for who in (("ann", "default"), ("rees", ""), ("eve", "x")))

    def seen(header: dict[str, str]) -> list[int]:
        return [i for i in (coadd, reduced, weight) if closed.get(f"/object/{i}", headers=header).status_code == 200]

    assert seen(member) == [reduced, weight]
    assert seen(creator) == [coadd, reduced, weight]
    assert seen(other) == [weight]
    assert closed.post(f"/object/{coadd}/judge", json={"text": "x"}, headers=member).status_code == 404


def test_what_one_visitor_saw_is_shown_to_no_other(closed: FlaskClient, engine: Engine, world: Any) -> None:
    coadd, member = world.ids["Coadd"], bearer(token(engine))

    def seen(header: dict[str, str]) -> set[int]:
        ways = (
            f"cutouts/frame/{coadd}.png?x=5&y=5&size=4",
            f"imageview/{coadd}.png?x=5&y=5&width=4",
            f"imageview/{coadd}.json",
        )
        return {closed.get(f"/{way}", headers=header).status_code for way in ways}

    hide(engine, of={coadd: 2})
    assert (seen(member), seen({})) == ({200}, {404})
    hide(engine, of={coadd: 4})
    assert (seen(member), seen({})) == ({200}, {200})
    hide(engine, of={coadd: 1})
    assert (seen(member), seen({})) == ({404}, {404})


def test_a_restricted_session_can_not_be_asked_around(engine: Engine, world: Any) -> None:
    """Not by attributes of what is hidden, and not by counting."""
    hide(engine, of={world.ids["Coadd"]: 4})
    with Session(engine) as session:
        restrict(session, ANYBODY)
        through = select(Coadd).where(Coadd.regridded_frames.any())

        assert session.get(ReducedFrame, world.ids["ReducedFrame"]) is None
        assert session.scalars(select(ReducedFrame)).all() == []
        assert len(session.scalars(select(Coadd)).unique().all()) == 1
        assert session.scalars(through).unique().all() == []
        assert session.scalars(select(Job)).first() is not None  # jobs are restricted where they are listed


def test_a_wrong_cookie_is_nobody(closed: FlaskClient, world: Any) -> None:
    for value in ("x", "'; --", "9" * 3000):
        closed.set_cookie(COOKIE, value)
        assert closed.get(f"/object/{world.ids['Coadd']}").status_code == 404
        assert closed.get("/").status_code == 200


def test_json_of_history_can_be_read_by_programs(site: FlaskClient, engine: Engine, world: Any) -> None:
    coadd = world.ids["Coadd"]
    site.post(f"/object/{coadd}/judge", json={"text": "é 星\nzwei"}, headers=bearer(token(engine)))

    assert json.loads(site.get(f"/object/{coadd}.json").text)["history"][0]["text"] == "é 星\nzwei"


def test_columns_do_not_lead_to_what_is_hidden(closed: FlaskClient, engine: Engine, world: Any) -> None:
    """Neither by a column through a link, to one or many, nor by a list's rows, nor by the order of rows."""
    coadd, listed = world.ids["Coadd"], world.ids["SourceList"]
    hide(engine, of={coadd: 4, listed: 4})
    through = "object_id,regridded_frames.seeing,regridded_frames.reduced.raw.object,grid_target.name"
    shown = closed.get("/table/Coadd.json", query_string={"columns": through, "size": 5}).get_json()["rows"][0]
    whole = closed.get("/table/Coadd.csv", query_string={"columns": through}).text.splitlines()[1]
    hide(engine, of={coadd: 1})
    columns = "SID,source_list.frame.object,source_list.frame.Coadd.regridded_frames.seeing"
    source = closed.get(f"/object/{listed}/sources.csv", query_string={"columns": columns}).text.splitlines()[1]

    assert shown == {
        "object_id": coadd,
        "regridded_frames.seeing": [],
        "regridded_frames.reduced.raw.object": [],
        "grid_target.name": "Q1010",  # grids are for everybody
    }
    assert whole == f"{coadd},,,Q1010"
    assert source == "0,,"


def test_conditions_do_not_lead_to_what_is_hidden(closed: FlaskClient, engine: Engine, world: Any) -> None:
    """What is hidden can't be found out by asking for it, not even through a special kind of what a link leads to."""
    coadd, listed = world.ids["Coadd"], world.ids["SourceList"]
    conditions = ("frame.Coadd.n_frames > 0", 'frame.object like "*"', "frame.Coadd.regridded_frames.object_id > 0")

    def found() -> list[int]:
        lists = [closed.get("/table/SourceList.json", query_string={"where": c}).get_json()["rows"] for c in conditions]
        rows = f"/object/{listed}/sources.json"
        sources = [
            closed.get(rows, query_string={"where": f"SID < 3 and source_list.{c}"}).get_json()["rows"]
            for c in conditions
        ]
        return [len(rows) for rows in (*lists, *sources)]

    hide(engine, of={coadd: 4, listed: 4, world.ids["RegriddedFrame"]: 4})
    assert found() == [1, 1, 1, 3, 3, 3]
    hide(engine, of={coadd: 1})
    assert found() == [0] * 6
