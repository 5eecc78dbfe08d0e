from __future__ import annotations

from collections import deque
from contextvars import copy_context
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xray_agent_tools.progress import heard_by, report


class NotWantedAnyMore(Exception):
    pass


@given(steps=st.lists(st.text()))
def test_a_listener_hears_every_step_in_order(steps: list[str]) -> None:
    heard: list[str] = []
    with heard_by(heard.append):
        for step in steps:
            report(step)
    assert heard == steps


def test_a_listener_hears_nothing_before_or_after_its_block() -> None:
    heard: list[str] = []
    report("before")
    with heard_by(heard.append):
        report("inside")
    report("after")
    assert heard == ["inside"]


def test_the_innermost_listener_hears_alone_and_the_outer_one_again_after_it() -> None:
    outer: list[str] = []
    inner: list[str] = []
    with heard_by(outer.append):
        with heard_by(inner.append):
            report("first")
        report("second")
    assert (outer, inner) == (["second"], ["first"])


def test_what_a_listener_raises_stops_the_work_and_the_listener_is_gone() -> None:
    heard: list[str] = []

    def stop(step: str) -> None:
        heard.append(step)
        raise NotWantedAnyMore(step)

    with pytest.raises(NotWantedAnyMore, match="first"), heard_by(stop):
        deque(map(report, ["first", "second"]))
    report("third")
    assert heard == ["first"]


def test_a_thread_is_heard_only_in_a_copy_of_the_context() -> None:
    heard: list[str] = []
    with heard_by(heard.append):
        alone = Thread(target=report, args=("alone",))
        accompanied = Thread(target=copy_context().run, args=(report, "accompanied"))
        for thread in (alone, accompanied):
            thread.start()
            thread.join()
    assert heard == ["accompanied"]
