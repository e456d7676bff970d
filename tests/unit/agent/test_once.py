"""Work on an event that is done once for its requests, its remarks and its counts."""

import pytest

from relay.agent.once import once


def test_the_same_objects_are_worked_on_once() -> None:
    kept = once(lambda event, settings: [event, settings])
    event, settings = object(), object()
    assert kept(event, settings) is kept(event, settings)


def test_an_equal_event_that_is_another_object_is_worked_on_again() -> None:
    kept = once(lambda event: [event])
    assert kept({"id": 1}) is not kept({"id": 1})


def test_other_settings_are_worked_on_again() -> None:
    kept = once(lambda event, settings: (event, settings))
    event = object()
    assert [kept(event, "one"), kept(event, "two"), kept(event, "one")] == [
        (event, "one"),
        (event, "two"),
        (event, "one"),
    ]


def test_a_failure_is_not_kept() -> None:
    results = iter([ValueError("first")])

    def work(_event: object) -> str:
        for failure in results:
            raise failure
        return "second"

    kept, event = once(work), object()
    with pytest.raises(ValueError, match="first"):
        kept(event)
    assert kept(event) == "second"
