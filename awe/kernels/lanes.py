"""Sums over the window of a kernel with the vector instructions of the machine, eight pixels of a row at a time.

The compiler does not find this by itself: it would unroll the window into single multiplications, four times slower.
What is emitted is LLVM's own vector code, which is turned into that of any processor.
"""

import sys
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8
"""Columns of a window: the taps of the widest kernel; narrower ones are filled up with zeros."""

_FLAGS = ("contract", "reassoc", "nsz")


@intrinsic  # type: ignore[misc]
def window_sums(typing, image, variance, start, pitch, table, column, row, window):  # type: ignore[no-untyped-def]
    """Return sum(k_j k_i image[j, i]) and sum(k_j^2 k_i^2 variance[j, i]) over a window.

    Parameters
    ----------
    image, variance : contiguous float32 arrays, 1-d
        Finite in all of the window, `LANES` columns wide, even where the kernel is 0.
    start, pitch : int
        Place of the first pixel of the window, and the distance of rows.
    table : contiguous float32 array, 1-d
        For each phase `LANES` taps of the kernel, then their squares.
    column, row : int
        Phases of the kernel along x and y.
    window : tuple of as many zeros as the kernel has taps
        So that the compiler knows the number of rows.
    """
    rows = window.count
    signature = types.UniTuple(types.float32, 2)(
        image, variance, types.int64, types.int64, table, types.int64, types.int64, window
    )

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = _Emitter(context, builder, signature, args)
        sums = [emit.sum_over(plane, square, rows) for plane, square in ((0, 0), (1, LANES))]
        return context.make_tuple(builder, signature.return_type, sums)

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
        phase = ir.Constant(self.number, 2 * LANES)
        self.along, self.across = builder.mul(args[5], phase), builder.mul(args[6], phase)

    def sum_over(self, plane: int, square: int, rows: int) -> Any:
        """Add up the rows of the window, each times its tap; then the columns, each times its own."""
        builder, (start, pitch) = self.builder, self.args[2:4]
        total = None
        for j in range(rows):
            tap = builder.load(builder.gep(self.arrays[4], [self._plus(self.across, square + j)]))
            pixels = self._load(plane, builder.add(start, builder.mul(pitch, ir.Constant(self.number, j))))
            term = builder.fmul(self._all_lanes(tap), pixels, flags=_FLAGS)
            total = term if total is None else builder.fadd(total, term, flags=_FLAGS)
        weighted = builder.fmul(total, self._load(4, self._plus(self.along, square)), flags=_FLAGS)
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), self.vector])
        reduce = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32")
        return builder.call(reduce, [ir.Constant(ir.FloatType(), 0.0), weighted], fastmath=_FLAGS)

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
