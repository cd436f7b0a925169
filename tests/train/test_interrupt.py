import signal
import threading

import pytest

from attn_jax.train.interrupt import Interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_the_handlers_come_back(number):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with Interrupt() as interrupt:
        assert interrupt.number is None
        signal.raise_signal(number)
        assert interrupt.number == number
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.fixture
def heard():
    """A program that a script starts in the background is born with SIGINT ignored: listen."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_a_second_signal_acts_at_once():
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert interrupt.number == signal.SIGINT


def test_outside_the_main_thread_it_notes_nothing():
    noted = []

    def work():
        with Interrupt() as interrupt:
            noted.append(interrupt.number)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert noted == [None]
