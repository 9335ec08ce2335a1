"""Sums over the window of a kernel with the vector instructions of the machine, eight pixels of a row at a time.

The compiler does not find this by itself: it would unroll the window into single multiplications, four times slower.
What is emitted is LLVM's own vector code, which is turned into that of any processor.
"""

import sys
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 8
"""Columns of a window: the taps of the widest kernel; narrower ones are filled up with zeros."""

_FLAGS = ("contract", "reassoc", "nsz")


@intrinsic  # type: ignore[misc]
def window_sums(typing, image, variance, start, pitch, table, column, row, window, inner):  # type: ignore[no-untyped-def]
    """Return sum(k_j k_i image[j, i]) and sum(k_j^2 k_i^2 variance[j, i]) over a window.

    Parameters
    ----------
    image, variance : contiguous float32 arrays, 1-d
        Finite in all of the window, `LANES` columns wide, even where the kernel is 0.
    start, pitch : int
        Place of the first pixel of the window, and the distance of rows.
    table : contiguous float32 array, 1-d
        For each phase `LANES` taps of the kernel.
    column, row : int
        Phases of the kernel along x and y.
    window : tuple of as many zeros as the kernel has taps
        So that the compiler knows the number of rows.
    inner : tuple of as many zeros as rows, in the middle of the window, of which variances are added up
    """
    rows, skipped = window.count, (window.count - inner.count) // 2
    signature = types.UniTuple(types.float32, 2)(
        image, variance, types.int64, types.int64, table, types.int64, types.int64, window, inner
    )

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = _Emitter(context, builder, signature, args)
        return context.make_tuple(builder, signature.return_type, emit.sums(rows, skipped))

    return signature, generate


@intrinsic  # type: ignore[misc]
def window_has(typing, plane, other, start, pitch, window):  # type: ignore[no-untyped-def]
    """Return whether any byte of two planes is not 0 in a window.

    Parameters
    ----------
    plane, other : contiguous uint8 arrays, 1-d
        At least `LANES` bytes must follow the last place of a window.
    start, pitch : int
        Place of the first byte of the window, and the distance of rows.
    window : tuple of as many zeros as the window has rows and columns, `LANES` at most
    """
    size = window.count
    signature = types.boolean(plane, other, types.int64, types.int64, window)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word, found = ir.IntType(8 * LANES), None
        for number in (0, 1):
            data = context.make_array(signature.args[number])(context, builder, args[number]).data
            for j in range(size):
                place = builder.add(args[2], builder.mul(args[3], ir.Constant(ir.IntType(64), j)))
                row = builder.load(builder.bitcast(builder.gep(data, [place]), word.as_pointer()))
                row.align = 1
                found = row if found is None else builder.or_(found, row)
        # the bytes of a row are the low ones of a word, or the high ones, by the order of the machine
        bits = (1 << 8 * size) - 1
        mask = bits if sys.byteorder == "little" else bits << 8 * (LANES - size)
        return builder.icmp_unsigned("!=", builder.and_(found, ir.Constant(word, mask)), ir.Constant(word, 0))

    return signature, generate


class _Emitter:
    """Writes the instructions of one call."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.builder, self.args = builder, args
        self.vector, self.number = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64)
        self.arrays = {i: context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 1, 4)}
        phase = ir.Constant(self.number, LANES)
        self.along, self.across = builder.mul(args[5], phase), builder.mul(args[6], phase)

    def sums(self, rows: int, skipped: int) -> list[Any]:
        """Add up the rows of both planes, each times its tap or its square; then the columns, each times its own."""
        builder, (start, pitch) = self.builder, self.args[2:4]
        total = spread = None
        for j in range(rows):
            tap = self._all_lanes(builder.load(builder.gep(self.arrays[4], [self._plus(self.across, j)])))
            place = builder.add(start, builder.mul(pitch, ir.Constant(self.number, j)))
            total = self._add(total, tap, self._load(0, place))
            if skipped <= j < rows - skipped:
                spread = self._add(spread, builder.fmul(tap, tap, flags=_FLAGS), self._load(1, place))
        taps = self._load(4, self.along)
        squares = builder.fmul(taps, taps, flags=_FLAGS)
        return self._over_lanes(
            builder.fmul(total, taps, flags=_FLAGS), builder.fmul(spread, squares, flags=_FLAGS)
        )  # fmt: skip

    def _add(self, total: Any, factor: Any, values: Any) -> Any:
        term = self.builder.fmul(factor, values, flags=_FLAGS)
        return term if total is None else self.builder.fadd(total, term, flags=_FLAGS)

    def _over_lanes(self, one: Any, other: Any) -> list[Any]:
        """Add up the lanes of two vectors together: half of the instructions of one after the other."""
        one, other = (self._sum_of_lanes(v, v, range(4), range(4, 8)) for v in (one, other))
        both = self._sum_of_lanes(one, other, (0, 1, 4, 5), (2, 3, 6, 7))
        both = self._sum_of_lanes(both, both, (0, 2), (1, 3))
        return [self.builder.extract_element(both, ir.Constant(ir.IntType(32), k)) for k in (0, 1)]

    def _sum_of_lanes(self, one: Any, other: Any, first: Any, second: Any) -> Any:
        parts = (self._lanes(one, other, lanes) for lanes in (first, second))
        return self.builder.fadd(*parts, flags=_FLAGS)

    def _lanes(self, one: Any, other: Any, lanes: Any) -> Any:
        numbers = list(lanes)
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)
        return self.builder.shuffle_vector(one, other, mask)

    def _plus(self, value: Any, number: int) -> Any:
        return self.builder.add(value, ir.Constant(self.number, number))

    def _load(self, array: int, place: Any) -> Any:
        pointer = self.builder.gep(self.arrays[array], [place])
        loaded = self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()))
        loaded.align = 4
        return loaded

    def _all_lanes(self, scalar: Any) -> Any:
        nothing, index = ir.Constant(self.vector, ir.Undefined), ir.IntType(32)
        first = self.builder.insert_element(nothing, scalar, ir.Constant(index, 0))
        return self.builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(index, LANES), [0] * LANES))
