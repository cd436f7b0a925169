"""The command line in two processes on this machine: one run folder, and one voice."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from attn_jax.train import read_metrics
from experiments.options import parse, without_place

LIMIT = 240


@pytest.fixture
def start(arguments):
    """Start two processes with these options each; they are killed at the end, if they must be."""
    started = []

    def start(*options):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2"}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        for index, own in enumerate(options):
            place = ["--distributed", f"localhost:{port}", str(len(options)), str(index)]
            started.append(
                subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "experiments",
                        "mnist_article",
                        *arguments,
                        *own,
                        *place,
                    ],
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
            )
        return started

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def said(text):
    """The lines that are not of JAX's runtime or of Gloo."""
    runtime = ("[Gloo]", "I1", "W1", "E1", "W0", "E0")
    return [line for line in text.splitlines() if not line.startswith(runtime)]


def test_two_processes_share_one_run_and_stop_together(start, arguments):
    folder = parse("mnist_article", arguments).runs / "mnist_article"
    both = start(*[["--train.epochs", "500", "--train.fsdp", "2"]] * 2)
    deadline = time.monotonic() + LIMIT
    while not any(map(read_metrics, folder.glob("*"))):
        assert time.monotonic() < deadline
        assert [process.poll() for process in both] == [None, None]
        time.sleep(0.1)
    both[1].send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=LIMIT) for process in both]
    assert [process.returncode for process in both] == [128 + signal.SIGTERM] * 2, outputs
    (run,) = folder.glob("*")
    assert (run / "logs" / "process-1.log").read_text().count("parameters, 500 epochs") == 1
    assert said(outputs[0][0])[0] == f"Run {run}"
    assert said(outputs[1][0]) == said(outputs[1][1]) == []
    (line,) = [line for line in said(outputs[0][1]) if line.startswith("Stopped by SIGTERM")]
    assert "To resume: make train EXP=mnist_article" in line


def test_processes_with_other_options_all_refuse_and_leave_no_folder(start, arguments):
    folder = parse("mnist_article", arguments).runs / "mnist_article"
    before = {*folder.glob("*")}
    both = start(["--train.epochs", "3"], ["--train.epochs", "4"])
    for process in both:
        _, error = process.communicate(timeout=LIMIT)
        assert process.returncode == 1
        (line,) = [line for line in said(error) if line.startswith("ProcessError: ")]
        assert "process 1 has options=" in line
        assert "start all processes with the same options and versions" in line
    assert {*folder.glob("*")} == before


def test_the_place_is_no_part_of_the_options():
    words = ["--distributed", "node1:1234", "2", "1", "--train.epochs", "3"]
    assert without_place(words) == ["--train.epochs", "3"]
    assert parse("mnist_article", words).place.index == 1
    assert parse("mnist_article", ["--train.epochs", "3"]).place is None
