"""Logarithms and powers are right, and the same bytes on any processor (tests/views/features has the latter)."""

from __future__ import annotations

import numpy as np

from pipeline.audio.logarithms import exp2, log2

RANDOM = np.random.default_rng(2017)


def test_log2_is_right_to_the_last_bits() -> None:
    values = np.concatenate([10 ** RANDOM.uniform(-300, 300, 10_000), 1 + RANDOM.uniform(-1, 1, 10_000) / 1000])
    expected = np.log2(values.astype(np.longdouble)).astype(np.float64)
    assert (np.abs(log2(values) - expected) <= np.maximum(3 * np.spacing(np.abs(expected)), 1e-16)).all()


def test_log2_of_powers_of_two_is_exact() -> None:
    powers = np.arange(-1000, 1000)
    assert np.array_equal(log2(np.ldexp(1.0, powers)), powers)
    assert log2(np.array([8], dtype=np.float32))[0] == 3


def test_exp2_is_right_to_the_last_bits() -> None:
    values = RANDOM.uniform(-900, 900, 10_000)
    expected = np.exp2(values.astype(np.longdouble)).astype(np.float64)
    assert (np.abs(exp2(values) - expected) <= 3 * np.spacing(expected)).all()
