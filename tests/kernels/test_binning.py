import numpy as np
import pytest

from awe.kernels.binning import bin_mean


def plain_mean(image, factor):
    ny, nx = (-(-length // factor) for length in image.shape)
    blocks = [
        [image[j * factor : (j + 1) * factor, i * factor : (i + 1) * factor] for i in range(nx)] for j in range(ny)
    ]
    return np.array([[np.nanmean(block) if np.isfinite(block).any() else np.nan for block in row] for row in blocks])


@pytest.mark.parametrize("factor", [1, 2, 3, 7, 64, 1000])
def test_blocks_are_means_also_at_ragged_edges(factor):
    image = np.random.default_rng(0).normal(100, 10, (1300, 37)).astype(np.float32)

    assert bin_mean(image, factor) == pytest.approx(plain_mean(image, factor), rel=1e-6)


def test_nan_and_pixels_without_weight_are_left_out():
    image = np.array([[1, np.nan, 5, 5], [3, np.inf, 9, 5]], np.float32)
    weight = np.array([[1, 1, 0.5, 2], [1, 1, 0, np.nan]], np.float32)

    assert bin_mean(image, 2).tolist() == [[2, 6]]
    assert bin_mean(image, 2, weight).tolist() == [[2, 5]]


def test_a_block_without_a_good_pixel_is_nan():
    assert np.isnan(bin_mean(np.full((2, 2), np.nan), 2)).all()


def test_raw_integers_of_the_other_byte_order_are_read():
    image = np.arange(16, dtype=">u2").reshape(4, 4)

    assert bin_mean(image, 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]


@pytest.mark.parametrize(
    ("image", "factor", "weight", "message"),
    [
        (np.zeros(4), 2, None, "two dimensions"),
        (np.zeros((4, 4)), 0, None, "1 or more, not 0"),
        (np.zeros((4, 4)), 2, np.zeros((4, 5)), r"weight has shape \(4, 5\)"),
    ],
)
def test_wrong_arguments_are_refused(image, factor, weight, message):
    with pytest.raises(ValueError, match=message):
        bin_mean(image, factor, weight)
