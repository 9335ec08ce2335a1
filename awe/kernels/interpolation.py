"""The pixel loops of resampling: kernels laid over a section of an image, with variances, bad pixels and flags."""

import numpy as np
from numba import njit

from awe.kernels.lanes import LANES, window_has, window_sums
from awe.kernels.mesh import spread_part_of_row

FILL_RADIUS = 4
"""How far a bad pixel looks for good ones to take its value from."""
MARGIN = FILL_RADIUS + LANES // 2 + 1
"""What a section must hold beyond the positions that are sampled, so that it does not matter where it ends."""

OUTSIDE = 32
"""Flag of an output pixel whose centre is not on the image: `PixelFlag.NO_DATA`, as the number the compiler needs."""

_FAR = 1e8
"""Positions beyond are none on an image."""
_BLOCK = 3
"""Side of the blocks that are known to be without bad pixels, as a power of 2: 8 pixels, no less than a window."""
# no nnan, ninf: positions off the sky are NaN
_FAST = {"contract", "reassoc", "nsz", "arcp"}
_B8, _B24, _LOW, _HIGH = np.uint32(8), np.uint32(24), np.uint32(0xFF00), np.uint32(0xFF0000)


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def regrid_section(raw, held, box, shape, level, nodes, step, first, kernel, windows, rule, room, out):
    """Interpolate an image at the pixels of a rectangle of the output grid.

    Parameters
    ----------
    raw : tuple of image, weight (uint32, the bits of float32), flags (uint8), each 1-d, then their pitches (distance of
        rows), and two booleans
        What the image holds of `box`; the booleans tell whether the bytes of image and weight are in reverse order.
        Flags may be empty.
    held : tuple of int
        x0, x1, y0, y1 of `raw` in the image.
    box : tuple of int
        x0, x1, y0, y1: all positions of the rectangle and `MARGIN` pixels round them; may reach beyond the image.
    shape : tuple of int
        (ny, nx) of the image.
    level : tuple of float64 arrays [column, row]
        Nodes of the background that is subtracted, and their curvatures along y; empty if there is none.
    nodes : tuple of x, y, area
        Of a `PixelMesh`.
    step, first : int, tuple of int
        Of the mesh; row and column of the rectangle's first pixel, counted from its first node.
    kernel : tuple of table, squares, inner squares, origin
        From `lane_table` (flat) and `squared_sums`, of all taps and without `quiet_taps`, and where phases begin.
    windows : three tuples, of as many zeros as the kernel has taps, as it has without `outer_taps` at both ends, and
        without `quiet_taps`
    rule : tuple of scale, significant, oversampling
        Factor on all values; least share of the kernel that counts; positions along each side of an output pixel.
    room : tuple of two float32 and two uint8 arrays, 1-d
        Room to work in, as large as `room_for(box)` at least.
    out : tuple of image, weight, noise (float32), flags (uint8), each [row, x]
        Filled. The variance of a pixel is noise / weight: the weight is that of the input's noise, as if pixels were
        independent; noise tells by how much interpolation smoothed it.
    """
    height, pitch = box[3] - box[2], pitch_of(box)
    size = height * pitch
    image, variance = room[0][:size].reshape((height, pitch)), room[1][:size].reshape((height, pitch))
    bad, marks = room[2][:size].reshape((height, pitch)), room[3][:size].reshape((height, pitch))
    _take(raw, held, box, shape, level, image, variance, bad, marks)
    blocks, spotless = _blocks_with_marks(bad, marks)
    if not spotless:
        _fill_bad_pixels(image, variance, bad)
    planes = (image, variance, bad, marks)
    if rule[2] == 1:
        _sample(planes, blocks, spotless, box, shape, nodes, step, first, kernel, windows, rule, out)
    else:
        _oversample(planes, box, shape, nodes, step, first, kernel, windows[0], rule, out)


@njit(nogil=True, cache=True)
def pitch_of(box):
    """Return the width of the planes for a box: the last columns fill up the lanes of windows, and words of flags."""
    return (box[1] - box[0] + 2 * LANES - 1) // LANES * LANES


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _take(raw, held, box, shape, level, image, variance, bad, marks):
    """Copy a section into planes with margins: bytes turned, background subtracted, weights made variances."""
    pixels, weights, flags, pitches, image_turned, weight_turned = raw
    left, width, wide = held[0] - box[0], box[1] - box[0], held[1] - held[0]
    bits, row_level = np.empty((2, wide), np.uint32), np.zeros(wide, np.float32)
    values, inverse = bits[0].view(np.float32), bits[1].view(np.float32)
    node_row = np.empty(level[0].shape[0])
    for j in range(box[3] - box[2]):
        y = box[2] + j - held[2]
        row, noise, wrong, mark = image[j], variance[j], bad[j], marks[j]
        row[width:], noise[width:], wrong[width:], mark[width:] = 0.0, 0.0, 0, 0
        if y < 0 or y >= held[3] - held[2]:
            _beyond(row[:width], noise[:width], wrong[:width], mark[:width])
            continue
        right = left + wide
        _beyond(row[:left], noise[:left], wrong[:left], mark[:left])
        _beyond(row[right:width], noise[right:width], wrong[right:width], mark[right:width])
        _turn(pixels[y * pitches[0] : y * pitches[0] + wide], image_turned, bits[0])
        _turn(weights[y * pitches[1] : y * pitches[1] + wide], weight_turned, bits[1])
        if node_row.size:
            spread_part_of_row(level[0], level[1], shape, held[2] + y, held[0], node_row, row_level)
        _judge(values, inverse, row_level, row[left:right], noise[left:right], wrong[left:right])
        if flags.size:
            mark[left:right] = flags[y * pitches[2] : y * pitches[2] + wide]
        else:
            mark[left:right] = 0


@njit(nogil=True, cache=True)
def _beyond(row, noise, wrong, mark):
    """Fill what lies beyond the image."""
    row[:], noise[:], wrong[:], mark[:] = 0.0, 0.0, 1, OUTSIDE


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _judge(values, inverse, level, row, noise, wrong):
    """Fill a row with value above the level, variance, and whether a pixel is bad; 0 where it is."""
    zero, one, most = np.float32(0.0), np.float32(1.0), np.float32(np.inf)
    for i in range(row.size):
        good = (inverse[i] > zero) & (inverse[i] < most) & (abs(values[i]) < most)
        row[i] = values[i] - level[i] if good else zero
        noise[i] = one / inverse[i] if good else zero
        wrong[i] = np.uint8(0) if good else np.uint8(1)


@njit(nogil=True, cache=True)
def _turn(source, turned, out):
    """Copy words, with their bytes in reverse order if they are so."""
    if turned:
        for i in range(source.size):
            b = source[i]
            out[i] = (b << _B24) | ((b << _B8) & _HIGH) | ((b >> _B8) & _LOW) | (b >> _B24)
    else:
        out[:] = source


@njit(nogil=True, cache=True)
def _blocks_with_marks(bad, marks):
    """Return which blocks of 8 x 8 pixels a window may begin in and touch a bad or flagged pixel; and if none is."""
    ny, nx = bad.shape
    words = bad.reshape(bad.size).view(np.uint64), marks.reshape(marks.size).view(np.uint64)
    found = np.zeros((((ny - 1) >> _BLOCK) + 2, (nx >> _BLOCK) + 1), np.uint8)
    across = nx >> _BLOCK
    for y in range(ny):
        row, first, second = found[y >> _BLOCK], words[0][y * across :], words[1][y * across :]
        for k in range(across):
            row[k] |= (first[k] | second[k]) != 0
    spotless = True
    for j in range(found.shape[0] - 1):
        for i in range(found.shape[1] - 1):
            found[j, i] |= found[j, i + 1] | found[j + 1, i] | found[j + 1, i + 1]
            spotless &= found[j, i] == 0
    return found, spotless


@njit(nogil=True, cache=True)
def _fill_bad_pixels(image, variance, bad):
    """Replace value and variance of bad pixels by the means of the nearest good ones, in place.

    The good pixels in the smallest square around a bad pixel (up to 9 x 9) that has any; 0 if there are none.
    """
    ny, nx = image.shape
    for y in range(ny):
        for x in range(nx):
            if bad[y, x]:
                _fill(image, variance, bad, y, x)


@njit(nogil=True, cache=True)
def _fill(image, variance, bad, y, x):
    ny, nx = image.shape
    for radius in range(1, FILL_RADIUS + 1):
        total, noise, count = 0.0, 0.0, 0
        for j in range(max(0, y - radius), min(ny, y + radius + 1)):
            for i in range(max(0, x - radius), min(nx, x + radius + 1)):
                if bad[j, i] == 0:
                    total += image[j, i]
                    noise += variance[j, i]
                    count += 1
        if count:
            image[y, x] = total / count
            variance[y, x] = noise / count
            return


@njit(nogil=True, cache=True, error_model="numpy")
def _lines(nodes, step, line, cells, out):
    """Set what a row of output pixels has at the left of each cell of a mesh, and the slope along x."""
    j = line // step
    t, per_pixel, first = line / step - j, 1.0 / step, cells[0]
    low, high = nodes[j], nodes[j + 1]
    if t == 0:
        high = low  # the nodes above may be off the sky
    left, slope = out[0], out[1]
    for k in range(cells[1] - first):
        here, there = low[first + k], low[first + k + 1]
        here += t * (high[first + k] - here)
        left[k], slope[k] = here, (there + t * (high[first + k + 1] - there) - here) * per_pixel
    if step == 1:
        slope[:] = 0.0  # the nodes to the right may be off the sky


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _positions(nodes, step, first, v, scale, lines, x, y, factor):
    """Compute the positions of a row of output pixels on the image, and the factor on their values."""
    cell = first[1] // step
    cells = (cell, cell + lines.shape[2])
    for axis in range(3):
        _lines(nodes[axis], step, first[0] + v, cells, lines[axis])
    begin, before = 0, first[1] - cell * step
    for k in range(lines.shape[2]):
        end = min(factor.size, begin + step - before)
        x0, dx, y0, dy = lines[0, 0, k], lines[0, 1, k], lines[1, 0, k], lines[1, 1, k]
        x1, y1 = x0 + (step - 1) * dx, y0 + (step - 1) * dy
        if abs(x0) < _FAR and abs(x1) < _FAR and abs(y0) < _FAR and abs(y1) < _FAR:
            _along(x0, dx, before, x[begin:end])
            _along(y0, dy, before, y[begin:end])
            _along(lines[2, 0, k] * scale, lines[2, 1, k] * scale, before, factor[begin:end])
        else:  # NaN as well
            x[begin:end], y[begin:end], factor[begin:end] = -2.0, -2.0, 0.0
        begin, before = end, 0


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _along(start, slope, before, out):
    """Fill with a straight line of which `before` pixels come first."""
    start += before * slope
    for k in range(out.size):
        out[k] = start + np.float64(np.int32(k)) * slope


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _places(x, y, corner, shape, origin, pitch, phases, start, block, column, row):
    """Compute where the windows of positions begin (-1: off the image), their blocks, and the phases of the kernel."""
    blocks, half, steps = np.int32((pitch >> _BLOCK) + 1), np.float32(0.5), np.float32(phases)
    right, high = shape[1] - 0.5, shape[0] - 0.5
    left, low = corner[0] + origin, corner[1] + origin
    for k in range(x.size):
        inside = (x[k] >= -0.5) & (x[k] <= right) & (y[k] >= -0.5) & (y[k] <= high)
        # none is negative then, so that to cut off is to round down
        u, v = x[k] - left if inside else 0.0, y[k] - low if inside else 0.0
        ix, iy = np.int32(u), np.int32(v)
        column[k] = np.int32(np.float32(u - ix) * steps + half)
        row[k] = np.int32(np.float32(v - iy) * steps + half)
        start[k] = iy * pitch + ix if inside else np.int32(-1)
        block[k] = (iy >> _BLOCK) * blocks + (ix >> _BLOCK)


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _sample(planes, blocks, spotless, box, shape, nodes, step, first, kernel, windows, rule, out):
    window, inner, noisy = windows
    image, variance, bad, marks = planes
    table, squares, inner_squares, origin = kernel
    out_image, out_weight, out_noise, out_flags = out
    height, width = out_image.shape
    pitch, before = np.int32(image.shape[1]), len(window) // 2 - 1
    pixels, noises, touched = image.reshape(image.size), variance.reshape(image.size), blocks.reshape(blocks.size)
    wrong, marked, skip = bad.reshape(bad.size), marks.reshape(marks.size), (len(window) - len(inner)) // 2
    x, y, factor = np.empty(width), np.empty(width), np.empty(width, np.float32)
    start, block = np.empty(width, np.int32), np.empty(width, np.int32)
    column, row = np.empty(width, np.int32), np.empty(width, np.int32)
    phases, corner = squares.size - 1, (box[0] + before, box[2] + before)
    lines = np.empty((3, 2, (first[1] + width - 1) // step - first[1] // step + 1))
    for v in range(height):
        _positions(nodes, step, first, v, rule[0], lines, x, y, factor)
        _places(x, y, corner, shape, origin, pitch, phases, start, block, column, row)
        value, weight, noise, flag = out_image[v], out_weight[v], out_noise[v], out_flags[v]
        for u in range(width):
            begin = start[u]
            if begin < 0:
                value[u], weight[u], noise[u], flag[u] = np.nan, 0.0, 1.0, OUTSIDE
                continue
            total, spread = window_sums(pixels, noises, begin, pitch, table, column[u], row[u], window, noisy)
            along = squares[column[u]]
            value[u], noise[u], flag[u] = total * factor[u], along * squares[row[u]], 0
            weight[u] = along * inner_squares[row[u]] / (spread * factor[u] * factor[u])
            if not spotless and touched[block[u]]:
                centre = begin + skip * (pitch + 1)
                if window_has(wrong, marked, centre, pitch, inner):
                    joined, spoiled = _look_closer(
                        wrong, marked, centre, pitch, table, column[u], row[u], skip, inner, rule[1]
                    )  # fmt: skip
                    flag[u] = joined
                    if spoiled:
                        weight[u] = 0.0


@njit(nogil=True, cache=True)
def _look_closer(wrong, marked, start, pitch, table, column, row, skip, inner, significant):
    """Return the joined flags of the pixels with a significant share, and whether one of them is bad."""
    joined, spoiled = np.uint8(0), False
    across, along = row * LANES + skip, column * LANES + skip
    for j in range(len(inner)):
        for i in range(len(inner)):
            place = start + j * pitch + i
            if (wrong[place] | marked[place]) and abs(table[across + j] * table[along + i]) >= significant:
                joined |= marked[place]
                spoiled |= wrong[place] > 0
    return joined, spoiled


@njit(nogil=True, cache=True, error_model="numpy")
def _oversample(planes, box, shape, nodes, step, first, kernel, window, rule, out):
    """Average the image over positions spread evenly over each output pixel; their noise is not independent."""
    image, variance, bad, marks = planes
    out_image, out_weight, out_noise, out_flags = out
    scale, significant, times = rule
    share = np.zeros(image.shape)
    limits = (shape[0] - 0.5, shape[1] - 0.5)
    for v in range(out_image.shape[0]):
        line = first[0] + v
        for u in range(out_image.shape[1]):
            place = first[1] + u
            out_image[v, u], out_weight[v, u], out_noise[v, u], out_flags[v, u] = np.nan, 0.0, 1.0, OUTSIDE
            x, y = _at(nodes[0], step, line, place), _at(nodes[1], step, line, place)
            if not (-0.5 <= x <= limits[1] and -0.5 <= y <= limits[0]):
                continue
            bounds = _spread_share(share, nodes, step, line, place, times, box, kernel, len(window))
            total, spread, squared, joined, spoiled = 0.0, 0.0, 0.0, np.uint8(0), False
            for j in range(bounds[2], bounds[3]):
                for i in range(bounds[0], bounds[1]):
                    part = share[j, i]
                    share[j, i] = 0.0
                    total += part * image[j, i]
                    spread += part * part * variance[j, i]
                    squared += part * part
                    if abs(part) * times * times >= significant:
                        joined |= marks[j, i]
                        spoiled |= bad[j, i] > 0
            factor = _at(nodes[2], step, line, place) * scale
            out_image[v, u], out_noise[v, u], out_flags[v, u] = total * factor, squared, joined
            if not spoiled and spread > 0:
                out_weight[v, u] = squared / (spread * factor * factor)


@njit(nogil=True, cache=True)
def _spread_share(share, nodes, step, line, place, times, box, kernel, taps):
    """Add up the kernels at all positions within an output pixel; return the bounds of what they cover."""
    table, squares, _, origin = kernel
    phases, before = squares.size - 1, taps // 2 - 1
    x0, x1, y0, y1 = share.shape[1], 0, share.shape[0], 0
    for b in range(times):
        for a in range(times):
            down, right = line + (b + 0.5) / times - 0.5, place + (a + 0.5) / times - 0.5
            x = _at(nodes[0], step, down, right) - box[0] - before - origin
            y = _at(nodes[1], step, down, right) - box[2] - before - origin
            if not (0 <= x < share.shape[1] - taps and 0 <= y < share.shape[0] - taps):
                continue
            ix, iy = int(x), int(y)
            along = int((x - ix) * phases + 0.5) * LANES
            across = int((y - iy) * phases + 0.5) * LANES
            for j in range(taps):
                for i in range(taps):
                    share[iy + j, ix + i] += table[across + j] * table[along + i] / (times * times)
            x0, x1, y0, y1 = min(x0, ix), max(x1, ix + taps), min(y0, iy), max(y1, iy + taps)
    return x0, x1, y0, y1


@njit(nogil=True, cache=True)
def _at(nodes, step, line, place):
    """Return the value of a mesh at a fractional pixel, counted from its first node; continued beyond its ends."""
    j = min(max(int(line // step), 0), nodes.shape[0] - 2)
    i = min(max(int(place // step), 0), nodes.shape[1] - 2)
    t, s = line / step - j, place / step - i
    low = (1 - s) * nodes[j, i] + s * nodes[j, i + 1]
    return (1 - t) * low + t * ((1 - s) * nodes[j + 1, i] + s * nodes[j + 1, i + 1])
