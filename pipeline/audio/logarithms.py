"""Logarithms and powers of two whose last bit is the same on every processor.

numpy has several kernels for ``log`` and ``exp`` and takes the one that suits the processor; where one has AVX-512 and
another has not, results differ in the last bit (numpy 2.4, 64 bit and 32 bit alike). What is written here adds,
multiplies and divides, each of which IEEE 754 rounds in one way only.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

# log2(m) = 2 / ln 2 · artanh(s) with s = (m − 1) / (m + 1), |s| ≤ .172: the 12th term is below 2e-19.
_ARTANH = [2 / math.log(2) / (2 * term + 1) for term in range(12)]
# 2**f = Σ (f ln 2)**k / k!, |f| ≤ .5: the 15th term is below 5e-18.
_EXPONENTIAL = [math.log(2) ** term / math.factorial(term) for term in range(15)]


def log2(values: npt.NDArray[np.floating]) -> Float64:
    """Return the logarithm to base 2 of positive, finite numbers, float64 of the same shape.

    It is within 3 units in the last place, or 1e-16 of the true one.
    """
    mantissa, exponent = np.frexp(values.astype(np.float64))
    small = mantissa < math.sqrt(0.5)
    np.multiply(mantissa, 2, out=mantissa, where=small)
    ratio = (mantissa - 1) / (mantissa + 1)
    series = _polynomial(_ARTANH, np.square(ratio))
    series *= ratio
    series += exponent - small
    return series


def exp2(values: Float64) -> Float64:
    """Return 2 to the power of finite numbers: float64 of the same shape, within 3 units in the last place."""
    whole = np.rint(values)
    return np.ldexp(_polynomial(_EXPONENTIAL, values - whole), whole.astype(np.int32))


def _polynomial(coefficients: list[float], x: Float64) -> Float64:
    value = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value *= x
        value += coefficient
    return value
