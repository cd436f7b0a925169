import hashlib
import subprocess

import pytest

from attn_jax.train.disk.manifest import (
    NAME,
    DamagedError,
    describe,
    remove_drafts,
    replacing,
    seal,
    verify,
    write_atomically,
)


@pytest.fixture
def sealed(tmp_path):
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.bin").write_bytes(bytes(range(97)))
    (folder / "inner" / "b.txt").write_text("seven")
    seal(folder)
    return folder


def test_the_manifest_is_what_sha256sum_reads(sealed):
    expected = hashlib.sha256(b"seven").hexdigest()
    assert f"{expected}  inner/b.txt\n" in (sealed / NAME).read_text()
    subprocess.run(["sha256sum", "--check", "--quiet", NAME], cwd=sealed, check=True)


def test_a_sealed_folder_is_whole(sealed):
    verify(sealed)


@pytest.mark.parametrize("name", ["a.bin", "inner/b.txt", NAME])
@pytest.mark.parametrize("bit", [0, 3, -1])
def test_any_flipped_bit_is_found(sealed, name, bit):
    path = sealed / name
    content = bytearray(path.read_bytes())
    bit %= 8 * len(content)
    content[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="differs from its sha256 sum"):
        verify(sealed)


def test_bits_all_over_the_manifest_count(sealed):
    whole = (sealed / NAME).read_bytes()
    for bit in range(0, 8 * len(whole), 7):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << (bit % 8)
        (sealed / NAME).write_bytes(content)
        with pytest.raises(DamagedError):
            verify(sealed)


def test_a_missing_manifest_means_a_folder_not_written_to_its_end(sealed):
    (sealed / NAME).unlink()
    with pytest.raises(DamagedError, match="unfinished"):
        verify(sealed)


@pytest.mark.parametrize("damage", ["remove", "truncate", "add"])
def test_files_removed_cut_or_added_are_found_and_named(sealed, damage):
    path = sealed / "inner" / ("new" if damage == "add" else "b.txt")
    if damage == "remove":
        path.unlink()
    else:
        path.write_text("seve")
    with pytest.raises(DamagedError, match=f"inner/{path.name} differs"):
        verify(sealed)


def test_writing_replaces_at_once_and_leaves_no_draft(tmp_path):
    path = tmp_path / "file"
    for text in ("first", "second"):
        write_atomically(path, text)
        assert path.read_text() == text
    assert describe(tmp_path) == f"{hashlib.sha256(b'second').hexdigest()}  file\n"


def test_a_failed_replacement_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def write():
        with replacing(path) as draft:
            draft.write_text("half of the n")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_what_a_kill_leaves_behind_is_removed(tmp_path):
    (tmp_path / "frames").mkdir()
    for name in ("file", "file.tmp", "frames/0.npz", "frames/8.npz.tmp"):
        (tmp_path / name).touch()
    remove_drafts(tmp_path)
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"file", "0.npz"}
