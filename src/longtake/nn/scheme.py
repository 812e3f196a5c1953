"""How the numbers of a matrix are written in 8 or 4 bits, and what they take so. Imports no torch; knows no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from longtake.core.errors import InputError

_SCALE_BYTES = 2  # bfloat16


@dataclass(frozen=True, slots=True)
class Scheme:
    """A matrix of D rows and C columns, quantized row by row: rows that are cut apart or joined stay what they are.

    | | stored | is |
    |---|---|---|
    | int8 | D, C int8; scale D | q · scale, q from -127 to 127 |
    | int4 | D, C / 2 uint8, even columns in the upper half; scale and zero D, C / group, 2 | (q - 8) · scale + zero |

    Scales are bfloat16, and numbers are rounded to multiples of what is stored, not of what was wished.

    Attributes:
        group: Columns that share a scale; 0: all of a row. A matrix whose columns it does not divide takes the half.
    """

    name: str
    bits: int
    group: int

    def group_of(self, columns: int) -> int:
        """Columns that share a scale in a matrix of so many.

        Raises:
            InputError: It cannot be written in this scheme (code ``cannot_quantize``).
        """
        if not self.group:
            return columns
        for group in (self.group, self.group // 2):
            if columns % group == 0:
                return group
        raise InputError(
            f"A matrix of {columns} columns cannot be written in {self.name}: they must be a multiple of "
            f"{self.group // 2}. Take int8.",
            code="cannot_quantize",
            param="dtype",
        )

    def weight_shape(self, rows: int, columns: int) -> tuple[int, int]:
        """Of what is stored: a byte holds a number, or two."""
        return rows, columns * self.bits // 8

    def scale_shape(self, rows: int, columns: int) -> tuple[int, ...]:
        return (rows, columns // self.group_of(columns), 2) if self.group else (rows,)

    def bytes(self, rows: int, columns: int) -> int:
        """Of a matrix with its scales."""
        scales = 2 * columns // self.group_of(columns) if self.group else 1
        return rows * (columns * self.bits // 8 + _SCALE_BYTES * scales)


INT8 = Scheme("int8", 8, 0)
INT4 = Scheme("int4", 4, 64)
SCHEMES: Mapping[str, Scheme] = MappingProxyType({scheme.name: scheme for scheme in (INT8, INT4)})
