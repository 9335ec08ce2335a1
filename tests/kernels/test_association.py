"""Association of source lists."""

import numpy as np
import pytest

from awe.kernels.association import Association, associate

ARCSEC = 1 / 3600


def lists_of_one_sky(count=500, lists=3, noise=0.1):
    rng = np.random.default_rng(7)
    grid = np.arange(count)
    ra, dec = (grid % 25) * 20 * ARCSEC - 0.05, (grid // 25) * 20 * ARCSEC
    made = []
    for _ in range(lists):
        seen = np.sort(rng.permutation(count)[: int(0.8 * count)])
        move = rng.normal(0, noise * ARCSEC, (2, len(seen)))
        made.append((seen, (np.mod(ra[seen] + move[0], 360), dec[seen] + move[1])))
    return [seen for seen, _ in made], [place for _, place in made]


@pytest.mark.parametrize("kind", [Association.CHAIN, Association.MATCHED])
def test_the_same_sources_get_one_aid_and_all_rows_are_kept(kind):
    seen, places = lists_of_one_sky()

    found = associate(places, 1.0, kind)

    identity = np.array([seen[n][row] for n, row in zip(found.list_number, found.row, strict=True)])
    assert len(found.aid) == sum(map(len, seen))
    assert found.count == len(np.unique(np.concatenate(seen)))
    assert all(len(set(identity[found.aid == aid])) == 1 for aid in range(1, found.count + 1))
    assert found.sizes.sum() == len(found.aid)


def test_a_master_list_leads_and_strangers_stay_alone():
    master = ([10.0, 10.01], [0.0, 0.0])
    other = ([10.0 + 0.3 * ARCSEC, 20.0], [0.0, 0.0])
    third = ([20.0], [0.0])

    found = associate([master, other, third], 1.0, Association.MASTER)

    assert found.aid.tolist() == [1, 1, 2, 3, 4]
    assert found.list_number.tolist() == [0, 1, 0, 1, 2]


def test_a_chain_goes_through_and_a_match_does_not():
    steps = [([10.0 + n * 0.8 * ARCSEC], [0.0]) for n in range(3)]

    assert associate(steps, 1.0, Association.CHAIN).count == 1
    assert associate(steps, 1.0, Association.MASTER).count == 2
    assert associate(steps, 1.0, Association.MATCHED).count == 2


def test_a_match_follows_the_mean_position_across_ra_zero():
    near_zero = [([359.9999], [0.0]), ([0.0001], [0.0]), ([0.0], [0.0])]

    found = associate(near_zero, 1.0, Association.MATCHED)

    assert found.count == 1


def test_empty_lists_and_nan_are_kept_apart():
    empty = (np.zeros(0), np.zeros(0))

    found = associate([empty, ([np.nan, 5.0], [1.0, 5.0]), empty, ([np.nan, 5.0], [1.0, 5.0])], 2.0)

    assert found.count == 3
    assert associate([], 1.0).count == 0
    assert associate([empty], 1.0).aid.tolist() == []


@pytest.mark.parametrize("radius", [0.0, -1.0, np.nan])
def test_a_radius_that_is_not_positive_is_refused(radius):
    with pytest.raises(ValueError, match="radius"):
        associate([], radius)
