"""Trying again: pauses grow, and a server's wish counts."""

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


def test_what_ends_well_is_not_tried_again() -> None:
    assert RetryPolicy(0, lambda _: pytest.fail("waited")).call(lambda: "done", "it") == "done"


def test_pauses_double_up_to_half_a_minute() -> None:
    pauses: list[float] = []
    assert RetryPolicy(12, pauses.append).call(failing([Transient("no")] * 12), "it") == "done"
    for number, pause in enumerate(pauses):
        assert min(0.25 * 2**number, 15) <= pause <= min(0.5 * 2**number, 30)


def test_many_that_fail_at_once_do_not_try_again_at_once() -> None:
    pauses: list[float] = []
    for what in "abcdefgh":
        RetryPolicy(1, pauses.append).call(failing([Transient("no")]), what)
    assert len(set(pauses)) == 8


@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7.0), (3600.0, 120.0)])
def test_the_server_may_ask_for_more_but_not_for_ever(asked: float, waited: float) -> None:
    pauses: list[float] = []
    RetryPolicy(1, pauses.append).call(failing([Transient("no", asked)]), "it")
    assert pauses == [waited]


def test_the_last_failure_is_told() -> None:
    with pytest.raises(TransferError, match=r"it: second \(tried 2 times\)") as caught:
        RetryPolicy(1, lambda _: None).call(failing([Transient("first"), Transient("second")]), "it")
    assert caught.value.__suppress_context__


def test_what_to_do_is_told() -> None:
    with pytest.raises(TransferError, match=r"it: no \(tried once\)\. Do this\.$"):
        RetryPolicy(0, lambda _: None).call(failing([Transient("no", remedy="Do this.")]), "it")


def test_progress_starts_the_count_again() -> None:
    failures = [Transient("no") for _ in range(10)]
    for failure in failures[1::2]:
        failure.progress = True
    assert RetryPolicy(2, lambda _: None).call(failing(failures), "it") == "done"
