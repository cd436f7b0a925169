"""One writer per run folder, across processes and crashes."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from attn_jax.train import RunFolderError, lock_run

HOLD = """
import pathlib, sys, time
from attn_jax.train import lock_run
with lock_run(pathlib.Path(sys.argv[1])) as notes:
    print(notes, flush=True)
    time.sleep(300)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout.readline() == "[]\n"
        yield process
        process.kill()


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_second_process_is_refused_by_pid_and_host_until_the_first_ends(tmp_path, holder):
    message = f"process {holder.pid} on {socket.gethostname()} is writing to"
    with pytest.raises(RunFolderError, match=message), lock_run(tmp_path):
        pass
    assert json.loads((tmp_path / "lock").read_text())["pid"] == holder.pid
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lock_run(tmp_path) as notes:
        (note,) = notes
        assert f"Took over the lock of process {holder.pid} on" in note
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_the_lock_is_released_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), lock_run(tmp_path / "made"):
            raise ZeroDivisionError
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": "x", "host": 1}', '{"pid": 3}'])
def test_a_damaged_lock_file_that_no_process_holds_is_replaced(tmp_path, text):
    (tmp_path / "lock").write_text(text)
    with lock_run(tmp_path) as notes:
        assert notes == []


def test_a_file_of_another_host_that_is_no_longer_locked_is_taken_over(tmp_path):
    (tmp_path / "lock").write_text('{"pid": 7, "host": "elsewhere"}')
    with lock_run(tmp_path) as notes:
        assert notes == ["Took over the lock of process 7 on elsewhere, which has ended."]


def test_a_lock_that_only_a_child_of_a_dead_process_holds_is_taken_over(tmp_path, holder):
    owner = {"pid": dead_pid(), "host": socket.gethostname()}
    (tmp_path / "lock").write_text(json.dumps(owner))
    with lock_run(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("pid", "host", "refused"),
    [(1, None, True), (None, None, False), (7, "elsewhere", True)],
    ids=["alive", "dead", "another host"],
)
def test_without_locks_of_the_file_system_the_name_decides(
    tmp_path, monkeypatch, pid, host, refused
):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("attn_jax.train.disk.lock.fcntl.flock", unsupported)
    owner = {"pid": pid or dead_pid(), "host": host or socket.gethostname()}
    (tmp_path / "lock").write_text(json.dumps(owner))
    if refused:
        with pytest.raises(RunFolderError, match=f"process {owner['pid']} on {owner['host']} is"):
            lock_run(tmp_path).__enter__()
        return
    with lock_run(tmp_path) as notes:
        assert "Took over" in notes[0]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderError, match="cannot be written"), lock_run(tmp_path / "file"):
        pass
