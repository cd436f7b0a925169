"""Several processes on this machine's CPU give the numbers of one, and end together."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_resume import bits, without_time

from attn_jax.train import Checkpoints, Processes, read_metrics

PROGRAM = Path(__file__).with_name("together.py")
# JAX's own default is 100 s, which a test cannot wait for.
HEARTBEAT = 5
LIMIT = 240


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Started:
    """Processes that a test has started, each the leader of a process group of its own."""

    def __init__(self, folder, compilations):
        self.folder, self.compilations, self.all = folder, compilations, []

    def start(self, **given):
        # Without the suite's flags, under which float64 is only that exact in places.
        environment = {**os.environ, **self.compilations, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        errors = self.folder / f"{len(self.all)}.err"
        with errors.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, str(PROGRAM), json.dumps(given)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                start_new_session=True,
            )
        process.errors = errors
        self.all.append(process)
        return process

    def pair(self, *fits, counts=(2, 2), **given):
        """Two processes of two devices; `fits` may be a pair of lists, one for each."""
        port = free_port()
        each = [list(fits)] * 2 if isinstance(fits[0], dict) else fits
        return [
            self.start(
                place=(f"127.0.0.1:{port}", counts[index], index),
                devices=2,
                heartbeat=HEARTBEAT,
                fits=each[index],
                **given,
            )
            for index in range(2)
        ]

    def end(self):
        for process in self.all:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()


@pytest.fixture(scope="module")
def started(tmp_path_factory, compilations):
    started = Started(tmp_path_factory.mktemp("errors"), compilations)
    yield started
    started.end()


def finish(processes, code=0):
    """Waits for processes; returns their output and what they said to standard error."""
    outputs = [process.communicate(timeout=LIMIT)[0] for process in processes]
    errors = [process.errors.read_text() for process in processes]
    assert [process.returncode for process in processes] == [code] * len(processes), errors
    return outputs, errors


def own_line(text, kind="ProcessError"):
    """The one line that a process printed about an error; JAX's own lines begin otherwise."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"{kind}: ")]
    return line


def losses(run_dir):
    return np.array([row["train/loss"] for row in read_metrics(run_dir)])


def wait_for_rows(run_dir, count, processes):
    deadline = time.monotonic() + LIMIT
    while not (run_dir / "metrics.jsonl").exists() or len(read_metrics(run_dir)) < count:
        assert time.monotonic() < deadline
        assert [process.poll() for process in processes] == [None] * len(processes)
        time.sleep(0.05)


FITS = {
    "float64": {"x64": True, "log_every": 1},
    "float32": {"log_every": 1},
    "fsdp": {"x64": True, "log_every": 1, "fsdp": 2},
    "streamed": {"x64": True, "log_every": 1, "streamed": True},
}
"""What runs of every kind are fitted with: every step has a row of its own."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory, started):
    """The folder with a run for each way to divide the same work."""
    folder = tmp_path_factory.mktemp("runs")

    def fits(kind, *names):
        return [{"run_dir": str(folder / f"{kind}_{name}"), **FITS[name]} for name in names]

    two = started.pair(*fits("two", *FITS))
    others = [
        started.start(devices=1, fits=fits("one", "float64", "float32")),
        started.start(devices=4, fits=fits("four", "float64", "float32", "fsdp")),
        started.start(devices=8, fits=[{**fits("eight", "fsdp")[0], "fsdp": 4}]),
    ]
    outputs, _ = finish([*two, *others])
    return folder, outputs


@pytest.mark.parametrize("kind", ["two", "four"])
@pytest.mark.parametrize(
    ("name", "early", "late"), [("float64", 1e-9, 1e-9), ("float32", 1e-5, 1e-3)]
)
def test_processes_and_devices_give_the_losses_of_one(runs, kind, name, early, late):
    one, several = losses(runs[0] / f"one_{name}"), losses(runs[0] / f"{kind}_{name}")
    assert one.shape == several.shape == (52,)
    np.testing.assert_allclose(several[:5], one[:5], rtol=early)
    np.testing.assert_allclose(several, one, rtol=late)


@pytest.mark.parametrize("kind", ["two", "four", "eight"])
def test_shared_parameters_give_the_losses_of_whole_ones(runs, kind):
    one, several = losses(runs[0] / "one_float64"), losses(runs[0] / f"{kind}_fsdp")
    np.testing.assert_allclose(several, one, rtol=1e-9)


def test_records_that_each_process_reads_for_itself_give_the_losses_of_held_ones(runs):
    one, several = losses(runs[0] / "one_float64"), losses(runs[0] / "two_streamed")
    np.testing.assert_allclose(several, one, rtol=1e-9)


def test_only_process_0_calls_prints_and_writes_rows(runs):
    folder, (first, second, *_) = runs
    assert first.count("epoch 2/2") == len(FITS)
    steps = [*range(1, 53), "end"]
    assert first.splitlines()[-1] == f"calls {steps}"
    # Gloo has lines of its own, which two of its threads may write into each other.
    gloo = ("[Gloo]", "connected peer ranks")
    said = [line for line in second.splitlines() if not any(word in line for word in gloo)]
    assert said == ["calls []"] * len(FITS)
    log = (folder / "two_float64" / "logs" / "process-1.log").read_text()
    assert "epoch 2/2" in log
    rows, alone = (read_metrics(folder / f"{kind}_float64") for kind in ("two", "one"))
    assert [sorted(row) for row in rows] == [sorted(row) for row in alone]
    assert rows[-1]["mean"] == pytest.approx(alone[-1]["mean"], rel=1e-9)
    assert rows[-1]["test/loss"] == pytest.approx(alone[-1]["test/loss"], rel=1e-9)


def arrays(run_dir, step):
    return bits(Checkpoints(run_dir / "checkpoints").restore(step)[0])


def test_a_signal_to_one_stops_both_at_one_step_and_either_number_resumes(runs, started, tmp_path):
    stopped = tmp_path / "run"
    fit = {**FITS["float64"], "run_dir": str(stopped)}
    pair = started.pair({**fit, "slow": 0.05})
    wait_for_rows(stopped, 10, pair)
    pair[1].send_signal(signal.SIGTERM)
    _, errors = finish(pair, 128 + signal.SIGTERM)
    step = Checkpoints(stopped / "checkpoints").steps()[-1]
    assert 10 <= step < 52
    assert [f"Stopped by SIGTERM after step {step}" in text for text in errors] == [True] * 2
    alone = tmp_path / "alone"
    subprocess.run(["cp", "-r", stopped, alone], check=True)

    again = {**fit, "resume": True}
    finish(
        [*started.pair(again), started.start(devices=4, fits=[{**again, "run_dir": str(alone)}])]
    )
    whole = runs[0] / "two_float64"
    assert without_time(read_metrics(stopped)) == without_time(read_metrics(whole))
    assert arrays(stopped, 52) == arrays(whole, 52)
    np.testing.assert_allclose(losses(alone), losses(whole), rtol=1e-9)


@pytest.mark.parametrize(("killed", "busy"), [(0, True), (1, True), (1, False)])
def test_a_killed_process_ends_the_other_with_a_line(started, tmp_path, killed, busy):
    run_dir = tmp_path / "run"
    pair = started.pair({"run_dir": str(run_dir), "slow": 0.05 if busy else 600.0, "log_every": 1})
    wait_for_rows(run_dir, 3 if busy else 0, pair)
    time.sleep(0.0 if busy else 3.0)
    pair[killed].kill()
    (_,), (text,) = finish([pair[1 - killed]], 1)
    # Both JAX and a collective operation may notice it.
    (line, *_) = [line for line in text.splitlines() if line.startswith("ProcessError: ")]
    assert f"process {killed}" in line or "one of them has probably ended" in line
    assert line.endswith("To resume: start it again")


def test_no_process_says_that_it_was_itself_lost():
    said = [Processes(index, count).lost() for index, count in ((0, 2), (1, 2), (0, 3), (2, 3))]
    names = ["process 1", "process 0", "another process", "process 0"]
    assert said == [f"{name} ended or cannot be reached" for name in names]


def test_an_error_in_one_process_is_told_by_all(started, tmp_path):
    pair = started.pair({"run_dir": str(tmp_path / "run"), "spoilt": 1})
    _, errors = finish(pair, 1)
    assert "RuntimeError: spoilt" in errors[0]
    assert "process 0 ended: RuntimeError: spoilt" in own_line(errors[1])


def test_processes_that_disagree_are_refused_by_all(started, tmp_path):
    fit = {"run_dir": str(tmp_path / "run")}
    elsewhere = {"run_dir": str(tmp_path / "elsewhere")}
    options = started.pair([fit], [{**fit, "weight_decay": 0.5}])
    folders = started.pair([fit], [elsewhere])
    counts = started.pair(fit, counts=(2, 3))
    indivisible = started.pair({**fit, "batch_size": 6})
    silent = started.start(place=(f"127.0.0.1:{free_port()}", 2, 1), patience=2.0, fits=[])
    missing = started.start(place=(f"127.0.0.1:{free_port()}", 2, 0), patience=2.0, fits=[])
    expected = [
        (options, "process 1 has train.weight_decay=0.5, but process 0 has 0.01"),
        (folders, "is not the same folder for process 1 as for process 0"),
        (counts, "process 1 was started as one of 3, but process 0 as one of 2"),
        ([silent], "has not answered for 2 s (Connection refused); is process 0 running there"),
        ([missing], "not all of 2 processes have come within 2 s"),
    ]
    for processes, words in expected:
        _, errors = finish(processes, 1)
        assert [words in own_line(text) for text in errors] == [True] * len(processes), errors
    _, errors = finish(indivisible, 1)
    words = "batch_size=6 must be a multiple of the 4 devices"
    assert [words in own_line(text, "ValueError") for text in errors] == [True] * 2
    assert not any((tmp_path / name / "command.json").exists() for name in ("run", "elsewhere"))
