"""Retries: pauses grow, and are as long as the server asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pipeline.core.errors import TransferError
from pipeline.snapshot.remote.retries import RetryPolicy, Transient


def failing(failures: list[Transient]) -> Callable[[], str]:
    """Return an action that fails so, one time after the other, and then ends well."""
    left: Iterator[Transient] = iter(failures)

    def action() -> str:
        for failure in left:
            raise failure
        return "done"

    return action


def test_retry_pauses_double_up_to_half_a_minute() -> None:
    pauses: list[float] = []
    assert RetryPolicy(12, pauses.append).call(failing([Transient("no")] * 12), "it") == "done"
    for number, pause in enumerate(pauses):
        assert min(0.25 * 2**number, 15) <= pause <= min(0.5 * 2**number, 30)


def test_retry_pauses_have_jitter() -> None:
    pauses: list[float] = []
    for what in "abcdefgh":
        RetryPolicy(1, pauses.append).call(failing([Transient("no")]), what)
    assert len(set(pauses)) == 8


@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7.0), (3600.0, 120.0)])
def test_retry_waits_as_long_as_the_server_asks_within_reason(asked: float, waited: float) -> None:
    pauses: list[float] = []
    RetryPolicy(1, pauses.append).call(failing([Transient("no", asked)]), "it")
    assert pauses == [waited]


def test_retry_ends_with_the_last_failure_and_its_remedy() -> None:
    failures = [Transient("first"), Transient("second", remedy="Do this.")]
    with pytest.raises(TransferError, match=r"it: second \(tried 2 times\)\. Do this\.$") as caught:
        RetryPolicy(1, lambda _: None).call(failing(failures), "it")
    assert caught.value.__suppress_context__


def test_retry_counts_from_the_start_after_progress() -> None:
    failures = [Transient("no") for _ in range(10)]
    for failure in failures[1::2]:
        failure.progress = True
    assert RetryPolicy(2, lambda _: None).call(failing(failures), "it") == "done"
