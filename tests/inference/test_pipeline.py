import itertools
import signal
import threading
import time

import pytest
from tqdm import TMonitor

from jde_lightning.inference.pipeline import ReadAhead, Stage

LONG = 20.0
"""Seconds after which a test that waits for a thread gives up."""


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert not [t for t in threading.enumerate() if t not in before and not isinstance(t, TMonitor)]


def until(condition):
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.001)


def broken_after(items, error):
    yield from items
    raise error


def test_items_come_in_order_and_the_last_group_may_be_short():
    with ReadAhead(range(7), depth=2) as ahead:
        assert [ahead.take(3), ahead.take(3), ahead.take(3), ahead.take(3)] == [[0, 1, 2], [3, 4, 5], [6], []]
        assert ahead.dropped == 0


def test_reading_runs_ahead_but_not_beyond_the_depth():
    fetched = []
    with ReadAhead((fetched.append(i) or i for i in range(100)), depth=3) as ahead:
        until(lambda: len(fetched) == 4)  # three wait, and one is held by the thread
        time.sleep(0.05)
        assert len(fetched) == 4
        assert ahead.take(1) == [0]
        until(lambda: len(fetched) == 5)


def test_error_of_the_iterable_comes_after_all_items_before_it():
    error = ValueError("frame 6")
    with ReadAhead(broken_after(range(5), error), depth=8) as ahead:
        assert ahead.take(4) == [0, 1, 2, 3]
        assert ahead.take(4) == [4]
        with pytest.raises(ValueError, match="frame 6") as caught:
            ahead.take(4)
        assert caught.value is error


def test_what_is_not_iterable_is_an_error_too():
    with ReadAhead(None, depth=1) as ahead, pytest.raises(TypeError, match="not iterable"):
        ahead.take(1)


def test_leaving_early_closes_the_generator_in_its_thread():
    closed = []

    def endless():
        try:
            yield from itertools.count()
        finally:
            closed.append(threading.current_thread().name)

    with ReadAhead(endless(), depth=2) as ahead:
        assert ahead.take(2) == [0, 1]
    assert closed == ["read"]


def test_leaving_early_wakes_an_iterable_that_waits():
    enough = threading.Event()

    def slow():
        yield 1
        assert enough.wait(LONG)

    with ReadAhead(slow(), depth=2, stop=enough.set) as ahead:
        assert ahead.take(1) == [1]


def test_latest_item_wins_where_the_iterable_does_not_wait():
    fetched = []
    go_on = threading.Event()

    def camera():
        for i in range(10):
            if i == 6:
                assert go_on.wait(LONG)
            fetched.append(i)
            yield i

    with ReadAhead(camera(), depth=2, latest=True) as ahead:
        until(lambda: len(fetched) == 6)
        until(lambda: ahead.dropped == 4)
        assert ahead.take(2) == [4, 5]
        go_on.set()
        until(lambda: ahead.dropped == 6)
        assert ahead.take(9) == [8, 9]


def test_stage_works_in_order_and_the_block_ends_when_all_is_done():
    done = []
    with Stage(lambda item: (time.sleep(0.001), done.append(item)), depth=2, name="work") as stage:
        for item in range(20):
            stage.put(item)
    assert done == list(range(20))


def test_stage_lets_only_so_many_wait():
    gate = threading.Semaphore(0)
    done = []

    def work(item):
        assert gate.acquire(timeout=LONG)
        done.append(item)

    with Stage(work, depth=2, name="work") as stage:
        for item in range(3):
            stage.put(item)  # one in work, two wait
        putting = threading.Thread(target=stage.put, args=(3,))
        putting.start()
        putting.join(0.05)
        assert putting.is_alive()
        gate.release(4)
        putting.join(LONG)
        stage.finish()
        assert done == [0, 1, 2, 3]


def test_error_of_the_work_is_raised_by_the_next_call_and_nothing_more_is_done():
    error = ValueError("item 1")
    done = []

    def work(item):
        if item == 1:
            raise error
        done.append(item)

    with pytest.raises(ValueError, match="item 1") as caught, Stage(work, depth=1, name="work") as stage:  # noqa: PT012
        for item in range(100):
            stage.put(item)
    assert caught.value is error
    assert done == [0]


def test_error_on_the_last_item_is_not_lost():
    def work(item):
        raise ValueError(item)

    with pytest.raises(ValueError, match="7"), Stage(work, depth=5, name="work") as stage:
        stage.put(7)


def test_error_of_a_later_stage_reaches_the_first_as_it_is():
    error = OSError(28, "disk full")

    def write(item):
        if item == 3:
            raise error

    with (  # noqa: PT012
        pytest.raises(OSError, match="disk full") as caught,
        Stage(write, depth=1, name="write") as last,
        Stage(last.put, depth=1, name="track") as first,
    ):
        for item in range(100):
            first.put(item)
    assert caught.value is error


def test_after_an_exception_what_waits_is_dropped():
    started, gate, done = threading.Event(), threading.Event(), []

    def work(item):
        started.set()
        assert gate.wait(LONG)
        done.append(item)

    with pytest.raises(RuntimeError, match="elsewhere"), Stage(work, depth=5, name="work") as stage:  # noqa: PT012
        for item in range(4):
            stage.put(item)
        assert started.wait(LONG)
        threading.Timer(0.02, gate.set).start()
        msg = "elsewhere"
        raise RuntimeError(msg)
    assert done == [0]


def test_ended_stage_takes_nothing():
    with Stage(print, depth=1, name="work") as stage:
        pass
    with pytest.raises(RuntimeError, match="the stage 'work' has ended"):
        stage.put(1)


def test_ctrl_c_reaches_who_waits_for_an_item():
    taken, enough = threading.Event(), threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # where the shell ignores it, Python does too

    def silent():
        yield 1
        assert taken.wait(LONG)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        assert enough.wait(LONG)

    try:
        with pytest.raises(KeyboardInterrupt), ReadAhead(silent(), depth=1, stop=enough.set) as ahead:  # noqa: PT012
            ahead.take(1)
            taken.set()
            ahead.take(1)
    finally:
        signal.signal(signal.SIGINT, before)
