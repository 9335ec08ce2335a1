"""Headers with the coordinates that astrometry found: as TPV or SIP, the same for those who read them."""

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from awe.kernels.tpv import SIP_BOUND, as_sip
from awe.kernels.wcs import Wcs, separation, tan
from awe.services.solved_header import with_coordinates


def test_sip_in_a_header_is_what_tpv_was_and_other_cards_stay():
    cubic = {f"PV{axis}_{m}": 4.0 for axis in (1, 2) for m in (7, 9)}
    tpv = Wcs.from_header(
        tan(150.0, 2.0, 0.4, 512, 1024, 10.0).cards | cubic | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}
    )
    before = fits.Header([("OBJECT", "x"), ("CTYPE1", "RA---TAN"), ("A_GAIN", 1.5), ("CD1_1", 1.0), ("PV1_7", 3.0)])

    header = with_coordinates(before, (as_sip(tpv, 512, 1024), "the solution"))

    read = fits.Header.fromstring(header.tostring())
    x, y = np.meshgrid(np.linspace(0, 511, 9), np.linspace(0, 1023, 9))
    assert (read["CTYPE1"], read["A_GAIN"], read["OBJECT"]) == ("RA---TAN-SIP", 1.5, "x")
    assert "PV1_7" not in read
    assert separation(*WCS(read).all_pix2world(x, y, 0), *tpv.to_sky(x, y)).max() * 3600 / 0.4 < SIP_BOUND
    assert before["CTYPE1"] == "RA---TAN"


def test_the_page_of_a_header_takes_and_refuses_ways_to_write(client, world):
    number = world.ids["Coadd"]
    plain, same = (client.get(f"/object/{number}/header.json{end}") for end in ("", "?wcs=file"))

    assert plain.json == same.json
    assert client.get(f"/object/{number}/header?wcs=zpx").status_code == 400
    for written in ("sip", "tpv"):  # this one has no coordinates
        answer = client.get(f"/object/{number}/header.json?wcs={written}")
        assert answer.status_code == 404
        assert "no coordinates on the sky" in answer.json["error"]
