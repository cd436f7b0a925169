import errno
import os
import pathlib
import socket
import stat
import subprocess
import zipfile

import numpy as np
import pytest

from attn_jax.tasks.cache import cache_folder, read_arrays, set_aside, write_arrays

ARRAYS = {"seven": np.arange(7, dtype=np.uint8), "table": np.ones((2, 3), np.int32)}


@pytest.mark.parametrize(
    ("named", "xdg", "expected"),
    [("/a/b", "/x", "/a/b"), ("", "/x", "/x/attn_jax"), ("", "", "/home/me/.cache/attn_jax")],
)
def test_the_environment_names_the_folder(monkeypatch, named, xdg, expected):
    monkeypatch.setenv("ATTN_JAX_CACHE", named)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == pathlib.Path(expected)


def test_reads_back_what_was_written(tmp_path):
    path = tmp_path / "new" / "arrays.npz"
    write_arrays(path, ARRAYS)
    read = read_arrays(path)
    assert read.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
    assert os.listdir(path.parent) == ["arrays.npz"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "arrays.npz"
    write_arrays(path, ARRAYS)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_arrays(path, {"seven": np.zeros(7, np.uint8)})
    assert os.listdir(tmp_path) == ["arrays.npz"]
    np.testing.assert_array_equal(read_arrays(path)["seven"], np.arange(7))


def test_what_a_killed_process_left_is_removed(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    host = socket.gethostname()
    left, others = (
        [f"arrays.npz.{host}.{ended.pid}.0a.tmp"],
        [
            f"arrays.npz.{host}.{os.getpid()}.0a.tmp",
            f"arrays.npz.elsewhere.{ended.pid}.0a.tmp",
            f"other.npz.{host}.{ended.pid}.0a.tmp",
            f"arrays.npz.{host}.{'9' * 99}.0a.tmp",
            f"arrays.npz.{host}.{ended.pid}.damaged",
        ],
    )
    for name in (*left, *others):
        (tmp_path / name).write_bytes(b"PK")
    write_arrays(tmp_path / "arrays.npz", ARRAYS)
    assert sorted(os.listdir(tmp_path)) == sorted(["arrays.npz", *others])


def test_every_flipped_byte_of_the_data_is_noticed(tmp_path):
    path = tmp_path / "arrays.npz"
    write_arrays(path, {"noise": np.random.default_rng(1).integers(0, 256, 97, np.uint8)})
    content = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        start = file.getinfo("noise.npy").header_offset + 60
    for place in range(start, start + 40):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged"):
            read_arrays(path)


@pytest.mark.parametrize("length", [0, 1, 30, -1, -40])
def test_a_truncated_file_is_refused(tmp_path, length):
    path = tmp_path / "arrays.npz"
    write_arrays(path, ARRAYS)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match="is damaged"):
        read_arrays(path)


def test_a_pickle_is_never_opened(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez(path, bad=np.array([{"any": "object"}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_arrays(path)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_other_users_may_read_what_the_umask_lets_them(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_arrays(tmp_path / "arrays.npz", ARRAYS)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "arrays.npz").stat().st_mode) == 0o666 & ~umask


def test_a_file_that_may_not_be_read_is_no_damage(tmp_path, unreadable):
    write_arrays(tmp_path / "arrays.npz", ARRAYS)
    unreadable(tmp_path)
    with pytest.raises(PermissionError):
        read_arrays(tmp_path / "arrays.npz")


def test_a_file_that_announces_more_than_there_is_memory_is_damaged(tmp_path):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999,), }"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "arrays.npz", "w") as file:
        file.writestr("seven.npy", content)
    with pytest.raises(ValueError, match="is damaged"):
        read_arrays(tmp_path / "arrays.npz")


def test_a_missing_file_is_no_damage(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "arrays.npz")


def test_a_damaged_file_is_set_aside(tmp_path):
    path = tmp_path / "arrays.npz"
    path.write_bytes(b"damaged")
    assert "arrays.npz.damaged" in set_aside(path)
    assert (tmp_path / "arrays.npz.damaged").read_bytes() == b"damaged"
    assert not path.exists()
    assert "cannot be renamed" in set_aside(path)
