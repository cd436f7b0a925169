"""A run that is killed and resumed ends as one that was never stopped, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
from tensorboardX.proto.event_pb2 import Event

from attn_jax.train import Checkpoints, read_metrics

PROGRAM = Path(__file__).with_name("tiny.py")
STOPS = [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL]


def start(run_dir, mode, **environment):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **environment}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, str(PROGRAM), str(run_dir), mode]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def newest_whole(run_dir):
    sealed = (run_dir / "checkpoints").glob("[0-9]*/MANIFEST.sha256")
    return max(
        (int(path.parent.name) for path in sealed if path.parent.name.isdecimal()), default=0
    )


def wait_for_a_newer_checkpoint(process, run_dir):
    """Waits until the process has written one, so that every life of the run gets further."""
    before, deadline = newest_whole(run_dir), time.monotonic() + 300
    while process.poll() is None and newest_whole(run_dir) == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def read_events(run_dir):
    """(tag, step, value) of every scalar, read from the records' framing by hand."""
    events = []
    for path in run_dir.glob("events.out.tfevents.*"):
        data, at = path.read_bytes(), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            event = Event.FromString(data[at + 12 : at + 12 + length])
            events += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
            at += 12 + length + 4
    return events


def without_time(rows):
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows]


def bits(tree):
    def raw(leaf):
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if is_key else leaf).tobytes()

    return {jax.tree_util.keystr(path): raw(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def finished(run_dir):
    """What a run has left: everything but the clock."""
    checkpoints = Checkpoints(run_dir / "checkpoints")
    return {
        "rows": without_time(read_metrics(run_dir)),
        "steps": checkpoints.steps(),
        "arrays": {step: bits(checkpoints.restore(step)[0]) for step in checkpoints.steps()},
        "best": checkpoints.best_step(),
    }


def stop_at_random_moments(run_dir, moments, compilations):
    """Runs, stops and resumes again and again; returns what was said and the signals that hit."""
    said, hits = [], []
    for number in STOPS:
        process = start(run_dir, "resume" if said else "new", **compilations)
        wait_for_a_newer_checkpoint(process, run_dir)
        time.sleep(moments.uniform(0, 0.15))
        process.send_signal(number)
        said.append(process.communicate(timeout=300)[0])
        if process.returncode == 0:
            break
        hits.append(number)
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), said
    return said, hits


def test_a_run_stopped_at_random_moments_is_the_run_never_stopped(tmp_path, compilations):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    reference, seed = start(whole, "new"), random.randrange(10**6)
    # The lives of one run share compilations to save time; the run never stopped makes its own.
    said, hits = stop_at_random_moments(broken, random.Random(seed), compilations)
    last = start(broken, "resume", **compilations)
    said.append(last.communicate(timeout=300)[0])
    assert last.returncode == 0, said[-1]
    assert reference.communicate(timeout=300)
    assert reference.returncode == 0

    assert len(hits) >= 3
    assert all("Resumed at step" in text for text in said[1:])
    assert "Stopped by SIGTERM after step" in said[1]
    assert finished(broken) == finished(whole), f"random.Random({seed})"
    assert finished(whole)["steps"][-1] == 5 * 25
    for run in (broken, whole):
        assert_events_are_the_rows(run)


def assert_events_are_the_rows(run_dir):
    rows, events = read_metrics(run_dir), read_events(run_dir)
    expected = {
        (name, row["step"], float(np.float32(value)))
        for row in rows
        for name, value in row.items()
        if name not in ("step", "time/unix")
    }
    assert len(events) == len({(tag, step) for tag, step, _ in events})
    assert set(events) == expected
