import signal
import threading

import pytest

from attn_jax.train.interrupt import SIGNALS, Interrupt


@pytest.fixture
def hangup():
    """The default action of a hangup, which `nohup` changes."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
@pytest.mark.usefixtures("hangup")
def test_a_signal_is_noted_and_the_handlers_come_back(number):
    before = [signal.getsignal(n) for n in SIGNALS]
    with Interrupt() as interrupt:
        assert interrupt.number is None
        signal.raise_signal(number)
        assert interrupt.number == number
    assert [signal.getsignal(n) for n in SIGNALS] == before


def test_under_nohup_a_hangup_stays_ignored(hangup):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGHUP)
        assert interrupt.number is None
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


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
