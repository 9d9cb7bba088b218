from hypothesis import given
from hypothesis import strategies as st

from iec62746._timers import Timers

GRAIN = 0.25


def test_nothing_is_due_early() -> None:
    timers: Timers[str] = Timers(GRAIN)
    timers.add("a", 10.1)

    assert [] == list(timers.due(10.0))


def test_everything_is_due_a_grain_later() -> None:
    timers: Timers[str] = Timers(GRAIN)
    timers.add("a", 10.1)

    assert ["a"] == list(timers.due(10.1 + GRAIN))


def test_what_was_due_is_forgotten() -> None:
    timers: Timers[str] = Timers(GRAIN)
    timers.add("a", 10.0)
    list(timers.due(11.0))

    assert [] == list(timers.due(12.0))
    assert timers.next() is None


def test_what_was_cancelled_is_never_due() -> None:
    timers: Timers[str] = Timers(GRAIN)
    timers.cancel("a", timers.add("a", 10.0))

    assert [] == list(timers.due(11.0))


def test_to_cancel_what_is_not_there_does_nothing() -> None:
    timers: Timers[str] = Timers(GRAIN)
    bucket = timers.add("a", 10.0)
    timers.cancel("b", bucket)
    timers.cancel("a", bucket + 7)

    assert ["a"] == list(timers.due(11.0))


def test_next_skips_what_was_cancelled() -> None:
    timers: Timers[str] = Timers(GRAIN)
    timers.cancel("a", timers.add("a", 10.0))
    timers.add("b", 20.0)

    assert 20.0 == timers.next()


def test_ever_new_times_that_are_cancelled_leave_nothing_behind() -> None:
    timers: Timers[int] = Timers(GRAIN)
    timers.add(-1, 1e9)
    for number in range(10_000):
        timers.cancel(number, timers.add(number, 1e9 + number))

    assert 200 > timers.buckets


@given(
    st.lists(st.tuples(st.sampled_from(["add", "cancel", "due"]), st.integers(0, 9), st.integers(0, 400)), max_size=300)
)
def test_what_is_due_is_what_a_plain_list_says(steps: list[tuple[str, int, int]]) -> None:
    timers: Timers[int] = Timers(GRAIN)
    expected: dict[int, tuple[float, int]] = {}
    now = 0.0
    for verb, key, number in steps:
        if verb == "add" and key not in expected:
            expected[key] = (now + number / 16, timers.add(key, now + number / 16))
        elif verb == "cancel" and key in expected:
            timers.cancel(key, expected.pop(key)[1])
        elif verb == "due":
            now += number / 64
            due = set(timers.due(now))

            assert {one for one, (at, _) in expected.items() if at <= now - GRAIN} <= due
            assert all(expected[one][0] <= now for one in due)
            expected = {one: value for one, value in expected.items() if one not in due}
    assert (timers.next() is None) == (not expected)


@given(st.floats(-1e6, 1e6), st.floats(0.0, 100.0))
def test_the_clock_may_be_put_and_all_is_due_when_it_would_have_been(by: float, until: float) -> None:
    timers: Timers[str] = Timers(GRAIN)
    bucket = timers.add("before", 1e9 + until)
    timers.clock_put(by)
    timers.add("after", 1e9 + by + until)

    assert set() == set(timers.due(1e9 + by + until - GRAIN))
    assert timers.next() is not None
    timers.cancel("before", bucket)
    assert {"after"} == set(timers.due(1e9 + by + until + 2 * GRAIN))
