"""Pictures: right pixels, limits that are stated, made once, cached by the browser for ever."""

import io
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from awe.config import Settings
from awe.errors import BadRequest, Busy
from awe.kernels.flag_picture import COLOURS, GROUND
from awe.kernels.flags import PixelFlag
from awe.kernels.sections import Section
from awe.kernels.stretch import apply_stretch, minmax_cuts
from awe.services.app import create_app
from awe.services.image_request import PICTURE_PARAMETERS, Wanted
from awe.services.operations import Operation
from awe.services.workshop import Workshop


def pixels(client: FlaskClient, address: str) -> np.ndarray:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.data)))


def test_a_picture_shows_the_pixels_of_the_frame_from_the_top_down(client: FlaskClient, world: Any) -> None:
    raw = world.ids["RawScienceFrame"]
    image = world.raw_images[raw]

    shown = pixels(client, f"/imageview/{raw}.png?cuts=minmax")

    assert np.array_equal(shown, apply_stretch(image, *minmax_cuts(image))[::-1])


def test_given_cuts_are_black_and_white(client: FlaskClient, world: Any) -> None:
    raw = world.ids["RawScienceFrame"]
    image = world.raw_images[raw][::-1]

    shown = pixels(client, f"/imageview/{raw}.png?cuts=690,710")

    assert set(shown[image < 689.9]) == {0}
    assert set(shown[image > 710.1]) == {255}


def test_an_inverted_picture_is_dark_where_the_other_is_bright(client: FlaskClient, world: Any) -> None:
    address = f"/imageview/{world.ids['RawScienceFrame']}.png"

    assert np.array_equal(pixels(client, f"{address}?invert=1"), 255 - pixels(client, address))


@pytest.mark.parametrize(("query", "size"), [("bin=3", (86, 67)), ("fit=160", (128, 100)), ("fit=300", (256, 200))])
def test_a_picture_is_made_smaller_by_whole_numbers(
    client: FlaskClient, world: Any, query: str, size: tuple[int, int]
) -> None:
    address = f"/imageview/{world.ids['Coadd']}.png?{query}"

    assert pixels(client, address).shape == size[::-1]
    assert int(client.get(address).headers["X-Binning"]) == -(-256 // size[0])


def test_jpeg_is_nearly_the_same(client: FlaskClient, world: Any) -> None:
    address = f"/imageview/{world.ids['BiasFrame']}"
    difference = pixels(client, f"{address}.png?bin=4").astype(int) - pixels(client, f"{address}.jpg?bin=4")

    assert np.abs(difference).mean() < 4


def test_a_flag_map_has_the_colours_of_its_bits(client: FlaskClient, world: Any) -> None:
    shown = pixels(client, f"/imageview/{world.ids['Coadd']}.png?plane=flags")

    expected = np.where((world.flags[::-1] == 1)[..., None], COLOURS[PixelFlag.HOT], GROUND)
    assert np.array_equal(shown, expected)


def test_a_binned_map_loses_no_flagged_pixel(client: FlaskClient, world: Any) -> None:
    shown = pixels(client, f"/imageview/{world.ids['HotPixelMap']}.png?bin=16")

    assert (shown == COLOURS[PixelFlag.HOT]).all(axis=2).sum() == 13 + 2


def test_a_plane_that_the_file_lacks_is_not_found(client: FlaskClient, world: Any) -> None:
    assert client.get(f"/imageview/{world.ids['BiasFrame']}.png?plane=weight").status_code == 404
    assert pixels(client, f"/imageview/{world.ids['Coadd']}.png?plane=weight").shape == (200, 256)


def test_a_picture_is_kept_for_ever(client: FlaskClient, world: Any) -> None:
    address = f"/imageview/{world.ids['Coadd']}.png?fit=160"
    first = client.get(address)
    second = client.get(address, headers={"If-None-Match": first.headers["ETag"]})

    assert "immutable" in first.headers["Cache-Control"]
    assert (second.status_code, second.data) == (304, b"")
    assert client.get(f"{address}&invert=1").headers["ETag"] != first.headers["ETag"]


def test_a_cached_picture_needs_no_data_server(app: Flask, world: Any, tmp_path: Path) -> None:
    address = f"/imageview/{world.ids['Coadd']}.png?fit=100"
    first = app.test_client().get(address).data
    made = list((tmp_path / "cache" / "pictures").rglob("*.png"))

    assert [p.read_bytes() for p in made] == [first]
    made[0].write_bytes(b"from the folder")
    anew = create_app(Settings(home=tmp_path), world.engine, world.store)
    assert anew.test_client().get(address).data == b"from the folder"


def test_equal_simultaneous_requests_are_made_once(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, 1_000_000, 100_000, 2, 4)
    made, begun, go = [], threading.Event(), threading.Event()

    def make() -> bytes:
        begun.set()
        go.wait(5)
        made.append(1)
        return b"picture"

    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(workshop.get("a.png", make))) for _ in range(8)]
    for thread in threads:
        thread.start()
    begun.wait(5)
    go.set()
    for thread in threads:
        thread.join(5)

    assert (found, made) == ([b"picture"] * 8, [1])


def test_a_large_picture_is_there_at_once_and_on_disk_soon(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, 100_000_000, 10_000_000, 2, 4)
    picture = bytes(3_000_000)

    found = workshop.get("a.png", lambda: picture)
    again = workshop.get("a.png", lambda: b"made again")
    workshop.settle()

    assert (found, again) == (picture, picture)
    assert Workshop(tmp_path, 100_000_000, 10_000_000, 2, 4).find("a.png") == picture


def test_a_picture_that_can_not_be_made_is_tried_anew(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, 1_000_000, 100_000, 2, 4)

    def fail() -> bytes:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        workshop.get("a.png", fail)
    assert workshop.get("a.png", lambda: b"picture") == b"picture"


def test_the_workshop_is_kept_to_its_size(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, 10_000, 5_000, 2, 4)
    for number in range(40):
        workshop.get(f"{number}.png", lambda: bytes(1000))

    assert sum(p.stat().st_size for p in (tmp_path / "files").rglob("*.png")) <= 11_000


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("stretch=cubic", "stretch must be linear or log or sqrt or asinh"),
        ("cuts=best", "zscale, percentile, p99, minmax, or two values"),
        ("cuts=1,2,3", "two values"),
        ("cuts=5,1", "smaller one first"),
        ("cuts=nan,1", "finite"),
        ("cuts=-inf,1", "finite"),
        ("cuts=1,", "two values"),
        ("bin=0", "from 1 to 512"),
        ("bin=-2", "from 1 to 512"),
        ("bin=1e3", "from 1 to 512"),
        ("bin=²", "from 1 to 512"),
        ("bin=99999999999999999999", "from 1 to 512"),
        ("fit=9000", "from 16 to 8192"),
        ("fit=16&bin=2", "give one of them"),
        ("invert=maybe", "invert must be 0 or 1"),
        ("plane=../etc", "plane must be image or weight or flags"),
        ("sise=3", "no parameter 'sise'"),
        ("stretch=%00", "control characters"),
    ],
)
def test_a_picture_that_can_not_be_meant_is_refused(client: FlaskClient, world: Any, query: str, said: str) -> None:
    answer = client.get(f"/imageview/{world.ids['Coadd']}.png?{query}", headers={"Accept": "application/json"})

    assert answer.status_code == 400
    assert answer.json is not None
    assert said in answer.json["error"]


def wanted(**given: str) -> Wanted:
    return Wanted.of(Operation("", PICTURE_PARAMETERS).read(given))


def test_too_large_a_picture_is_refused_with_the_binning_that_would_do() -> None:
    whole = Section(0, 27000, 0, 12000)
    with pytest.raises(BadRequest, match=r"324,000,000 pixels, the limit is 40,000,000: ask for bin=3"):
        wanted().binning(whole)
    assert wanted(bin="3").binning(whole) == 3
    assert wanted(fit="160").binning(whole) == 169


@pytest.mark.parametrize(
    "address", ["/imageview/999.png", "/imageview/1.png", "/imageview/x.png", "/imageview/24.png", "/imageview/0.png"]
)
def test_there_is_no_picture_of_what_is_no_frame(client: FlaskClient, address: str) -> None:
    assert client.get(address).status_code == 404


def test_more_than_can_wait_is_turned_away_and_told_to_come_again(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, 1_000_000, 100_000, makers=1, waiting=1)
    begun, go = threading.Semaphore(0), threading.Event()

    def make() -> bytes:
        begun.release()
        go.wait(5)
        return b"picture"

    threads = [threading.Thread(target=workshop.get, args=(f"{n}.png", make)) for n in range(2)]
    threads[0].start()
    begun.acquire(timeout=5)
    threads[1].start()
    while workshop.find("1.png") is None and workshop._admitted < 2:
        time.sleep(0.01)
    with pytest.raises(Busy, match="try again in a moment"):
        workshop.get("2.png", make)
    go.set()
    for thread in threads:
        thread.join(5)

    assert [workshop.find(f"{n}.png") for n in range(3)] == [b"picture", b"picture", None]
    assert workshop.get("2.png", lambda: b"later") == b"later"
