"""The sums over the pixels of stars from which a PSF model is found (`awe.kernels.psf_fitting`)."""

import math

import numpy as np
from numba import njit

from awe.kernels.psf import spline_axis
from awe.kernels.psf_light import add_star, coefficients_of, part_of_picture, star_light

CLIP = 5.0
"""A pixel is left out that differs by more sigma, and more than a part of the light of the star."""
MODEL_ERROR = 0.01
"""What the model is trusted to, relative to the light in a pixel."""


@njit(cache=True, nogil=True)
def enlarge(coefficients, fine, out):
    """Fill a picture `fine` times as large as that of the coefficients."""
    side, size = coefficients.shape[0], out.shape[0]
    first, weights, _ = spline_axis(size, side, 1 / fine, (size - 1) / 2)
    for j in range(size):
        for i in range(size):
            if first[i] < 0 or first[j] < 0:
                continue
            for m in range(4):
                for n in range(4):
                    out[j, i] += weights[j, m] * weights[i, n] * coefficients[first[j] + m, first[i] + n]


@njit(cache=True, nogil=True)
def _drawn(coefficients, terms, fine, place, size):
    """Return a star of unit flux."""
    out = np.zeros((size, size))
    add_star(coefficients, terms, fine, place[0], place[1], 1.0, out)
    return out


@njit(cache=True, nogil=True)
def _variance(weight, model, per_electron):
    """Return the weight of a pixel with the photon noise and the error of the model."""
    if weight == 0:
        return 0.0
    return 1 / (1 / weight + max(model, 0.0) * per_electron + (MODEL_ERROR * model) ** 2)


@njit(cache=True, nogil=True)
def centre_stars(coefficients, terms, places, fine, light, weight, per_electron, flux, chi2, chosen):
    """Fit flux and place of each star."""
    size, side = light.shape[1], coefficients.shape[1]
    model, by_x, by_y = np.empty((size, size)), np.empty((size, size)), np.empty((size, size))
    for s in chosen:
        local = part_of_picture(coefficients, terms[s], (0, side), (0, side))
        for step in range(4):
            star_light(local, fine, places[s, 0], places[s, 1], model, by_x, by_y)
            matrix, right = np.zeros((3, 3)), np.zeros(3)
            total, count = 0.0, 0
            for j in range(size):
                for i in range(size):
                    # the first time the flux is not known
                    w = _variance(weight[s, j, i], flux[s] * model[j, i] if step else 0.0, per_electron)
                    if w == 0:
                        continue
                    a, b, c = model[j, i], by_x[j, i], by_y[j, i]
                    v = light[s, j, i]
                    total += w * (v - flux[s] * a) ** 2
                    count += 1
                    matrix[0, 0] += w * a * a
                    matrix[0, 1] += w * a * b
                    matrix[0, 2] += w * a * c
                    matrix[1, 1] += w * b * b
                    matrix[1, 2] += w * b * c
                    matrix[2, 2] += w * c * c
                    right[0] += w * a * v
                    right[1] += w * b * v
                    right[2] += w * c * v
            chi2[s] = total / max(count - 3, 1)
            matrix[1, 0], matrix[2, 0], matrix[2, 1] = matrix[0, 1], matrix[0, 2], matrix[1, 2]
            if not matrix[0, 0] > 0:
                flux[s] = np.nan
                break
            if step == 0:
                flux[s] = right[0] / matrix[0, 0]
                continue
            if abs(np.linalg.det(matrix)) < 1e-12 * matrix[0, 0] * matrix[1, 1] * matrix[2, 2]:
                break
            found = np.linalg.solve(matrix, right)
            flux[s] = found[0]
            if not found[0] > 0:
                break
            places[s, 0] += min(max(found[1] / found[0], -0.5), 0.5)
            places[s, 1] += min(max(found[2] / found[0], -0.5), 0.5)


@njit(cache=True, nogil=True)
def clip_pixels(coefficients, terms, places, fine, flux, light, weight, per_electron, tolerance, chosen):
    """Set the weight of pixels of some stars to 0 that do not fit."""
    size = light.shape[1]
    for s in chosen:
        if not flux[s] > 0:
            continue
        model = _drawn(coefficients, terms[s], fine, places[s], size)
        for j in range(size):
            for i in range(size):
                if weight[s, j, i] > 0:
                    expected = flux[s] * model[j, i]
                    sigma = math.sqrt(1 / weight[s, j, i] + max(expected, 0.0) * per_electron)
                    if abs(light[s, j, i] - expected) > CLIP * sigma + tolerance * max(expected, 0.0):
                        weight[s, j, i] = 0


@njit(cache=True, nogil=True)
def fit_weights(coefficients, terms, places, fine, flux, weight, per_electron, chosen, out):
    """Fill in the weights of the pixels of some stars with their photon noise and the error of the model."""
    size = weight.shape[1]
    for s in chosen:
        model = _drawn(coefficients, terms[s], fine, places[s], size)
        for j in range(size):
            for i in range(size):
                out[s, j, i] = _variance(weight[s, j, i], flux[s] * model[j, i], per_electron)


@njit(cache=True, nogil=True)
def normal(vector, terms, places, fine, flux, weights, chosen):
    """Multiply by the matrix of the normal equations of some stars."""
    size = weights.shape[1]
    out = np.zeros(vector.shape)
    for s in chosen:
        pixels = _drawn(vector, terms[s], fine, places[s], size)
        pixels *= weights[s]
        pixels *= flux[s] ** 2
        coefficients_of(pixels, terms[s], fine, places[s, 0], places[s, 1], out)
    return out


@njit(cache=True, nogil=True)
def right_side(coefficients, terms, places, fine, flux, light, weights, chosen):
    """Return the right side of the normal equations of some stars, and about the diagonal of the matrix."""
    size = light.shape[1]
    out, told = np.zeros(coefficients.shape), np.zeros(coefficients.shape)
    for s in chosen:
        model = _drawn(coefficients, terms[s], fine, places[s], size)
        left = weights[s] * flux[s] * (light[s] - flux[s] * model)
        coefficients_of(left, terms[s], fine, places[s, 0], places[s, 1], out)
        near = weights[s] * flux[s] ** 2 / 4
        coefficients_of(near, terms[s] ** 2, fine, places[s, 0], places[s, 1], told)
    return out, told
