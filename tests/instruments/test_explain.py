import json

from awe.instruments import as_table, explain


def test_a_readable_file_is_explained_to_the_verdict(nickel, definitions):
    findings = explain(nickel(OBJECT="PG1530+057"), definitions)

    steps = list(dict.fromkeys(finding.step for finding in findings))
    assert steps == ["file", "instrument", "class", "exposure", "date", "chip", "wcs", "verdict"]
    assert findings[-1].became == "RawStandardFrame of Nickel, night 2024-05-12, 1 chip"


def test_each_keyword_is_shown_with_what_was_found_and_what_it_became(nickel, definitions):
    findings = {(f.step, f.subject): f for f in explain(nickel(), definitions)}

    ra = findings["exposure", "ra"]
    assert (ra.looked_up, ra.found, ra.became) == ("RA", "'11:56:28.02'", "179.11675000000002")
    data = findings["chip", "ccd2 data_section"]
    assert (data.looked_up, data.found, data.became) == ("DATASEC", "'[1:1024,1:1024]'", "[1:1024,1:1024]")


def test_defaults_are_shown_as_such(efosc2, definitions):
    findings = {f.subject: f for f in explain(efosc2(ESO_DET_OUT1_RON=None), definitions)}

    read_noise = findings["ccd40 read_noise_electron"]
    assert (read_noise.found, read_noise.became) == ("absent", "7.8 (default)")


def test_rules_show_why_they_failed_or_held(efosc2, definitions):
    rules = [f for f in explain(efosc2(), definitions) if f.step == "class"]

    assert rules[0].found.startswith("ESO DPR TECH = 'IMAGE', expected like 'SPECTRUM*'")
    assert (rules[0].became, rules[-1].became) == ("no", "RawScienceFrame")


def test_a_refused_file_is_explained_up_to_the_reason(efosc2, definitions):
    findings = explain(efosc2(EXPTIME=-3.0), definitions)

    assert findings[-1].found == "refused"
    assert "absurd exptime: EXPTIME is -3.0" in findings[-1].became
    assert findings[-2].step == "class"


def test_what_is_not_fits_is_explained_too(tmp_path, definitions):
    (tmp_path / "x.fits").write_text("x")

    (verdict,) = explain(tmp_path / "x.fits", definitions)

    assert "not FITS" in verdict.became


def test_findings_can_be_written_as_json_and_as_a_table(efosc2, definitions):
    findings = explain(efosc2(), definitions)

    assert json.loads(json.dumps([f.as_dict() for f in findings]))[0]["step"] == "file"
    lines = as_table(findings).splitlines()
    assert len(lines) == len(findings) + 1
    assert lines[0].split() == ["step", "subject", "looked", "up", "found", "became"]
