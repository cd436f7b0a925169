"""Files of JSON and arrays that are damaged, or that somebody else wrote."""

import hashlib
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from attn_jax.train.disk.stored import StoredFileError, read_arrays, read_json, write_json

DEEP = "[" * 500 + "]" * 500
JSON = {
    "empty": (b"", "cannot be read"),
    "cut": (b'{"a": [1', "cannot be read"),
    "bytes": (b'{"a": "\xff"}', "cannot be read"),
    "half of a pair": (b'{"a": "\\ud800"}', "cannot be read"),
    "digits": (b'{"a": ' + b"9" * 5000 + b"}", "cannot be read"),
    "list": (b"[]", "holds a list at its top level, not a dict"),
    "null": (b"null", "holds a NoneType"),
    "deep": (f'{{"a": {DEEP}}}'.encode(), "nested more than 100 levels"),
    "deepest": (b"[" * 100_000, "cannot be read"),
    "huge": (b" " * (2**26 + 1), "67,108,865 bytes, more than the 67,108,864 allowed"),
}


@pytest.mark.parametrize("name", JSON)
def test_json_that_is_none_is_refused_by_the_name_of_its_file(name, tmp_path):
    path, (content, message) = tmp_path / "file.json", JSON[name]
    path.write_bytes(content)
    with pytest.raises(StoredFileError, match=message) as refusal:
        read_json(path, dict)
    assert str(refusal.value).startswith(str(path))
    assert "\n" not in str(refusal.value)


CONTENTS = [{}, {"a": [1, 2.5, None]}, {"é": "ü\n", "sha256s": "0" * 64}, {"x": {"y": {}}}]


@pytest.mark.parametrize("number", range(len(CONTENTS)))
def test_no_flipped_bit_changes_what_is_read(number, tmp_path):
    path, content = tmp_path / "file.json", CONTENTS[number]
    write_json(path, content, ensure_ascii=False)
    whole = path.read_bytes()
    assert read_json(path, dict) == content
    assert json.loads(whole)["sha256"] == hashlib.sha256(whole.split(b'"sha256"')[0]).hexdigest()
    seal = whole.index(b'"sha256": ')
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            read = read_json(path, dict)
        except StoredFileError:
            continue
        # A flip in the name of the checksum leaves one entry more, and the others as they were.
        assert seal < bit // 8
        assert read.items() >= content.items()


def test_a_damaged_file_is_kept_when_it_is_written_again(tmp_path, capsys):
    path = tmp_path / "file.json"
    for _ in range(2):
        write_json(path, {"a": 1})
        path.write_text("damaged")
        write_json(path, {"a": 2})
        assert read_json(path, dict) == {"a": 2}
        assert (tmp_path / "file.json.damaged").read_text() == "damaged"
        error = capsys.readouterr().err
        assert error.endswith("; it is kept as file.json.damaged, and is written again.\n")
        assert str(path) in error
    os.unlink(path)
    path.mkdir()
    write_json(path, {"a": 3})
    assert (tmp_path / "file.json.damaged").is_dir()


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        for read in (lambda path: read_json(path, dict), read_arrays):
            with pytest.raises(StoredFileError, match=f"{name} is not a file"):
                read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "nothing", dict)


def test_json_at_the_largest_depth_is_read(tmp_path):
    text = "[" * 98 + "1" + "]" * 98
    (tmp_path / "file.json").write_text(text)
    assert read_json(tmp_path / "file.json", list) == json.loads(text)


def bend(path, change):
    np.savez(path, a=np.arange(7), b=np.ones((2, 3)))
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: content[:-30],
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"(7,)", b"(9,)"),
        lambda content: b"\x93NUMPY" + content,
        lambda content: b"PK\x05\x06" + bytes(10),
    ],
)
def test_damaged_arrays_are_refused_by_the_name_of_their_file(change, tmp_path):
    bend(tmp_path / "file.npz", change)
    with pytest.raises(StoredFileError, match=r"file\.npz cannot be read"):
        read_arrays(tmp_path / "file.npz")


def test_arrays_never_unpickle(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    np.savez(tmp_path / "file.npz", a=np.array([Bomb()], dtype=object))
    with pytest.raises(StoredFileError, match="allow_pickle"):
        read_arrays(tmp_path / "file.npz")
    (tmp_path / "file.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(StoredFileError):
        read_arrays(tmp_path / "file.npz")
    with zipfile.ZipFile(tmp_path / "file.npz", "w") as archive:
        archive.writestr("../../exploded.npy", b"1")
    with pytest.raises(StoredFileError, match="holds something that is not an array"):
        read_arrays(tmp_path / "file.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["file.npz"]
