import gzip
import hashlib

import numpy as np
import pytest

from attn_jax.tasks.idx import decode_idx, encode_idx, idx_digest, read_idx


def by_hand() -> bytes:
    return bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 11, 12, 13, 21, 22, 23])


@pytest.mark.parametrize("name", ["images", "images.gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_what_the_format_describes(tmp_path, name, pack):
    path = tmp_path / name
    path.write_bytes(pack(by_hand()))
    assert read_idx(path).tolist() == [[[11, 12, 13]], [[21, 22, 23]]]


def test_writes_what_it_reads():
    array = decode_idx(by_hand())
    assert encode_idx(array) == by_hand()
    assert idx_digest(array) == hashlib.sha256(by_hand()).hexdigest()


def test_digest_follows_the_values_not_the_memory():
    array = np.arange(15, dtype=np.uint8).reshape(3, 5)
    assert idx_digest(array.T) == idx_digest(array.T.copy()) != idx_digest(array)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "starts with 0x,"),
        (b"\x00\x00\x08", "starts with 0x000008,"),
        (b"", "the file is empty"),
        (b"\x1f\x8b\x08\x00 a gzip stream", "a gzip file that is truncated or damaged"),
        (
            gzip.compress(gzip.compress(b"", mtime=0), mtime=0),
            "starts with 0x1f8b.*is a gzip file. The idx",
        ),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x01\x00\x00\x00\x00", "starts with 0x00000d01"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x01\x00\x00\x00\x00", "an idx file of float32: convert"),
        (b" <!DOCTYPE html><html>404</html>", "the file is a web page"),
        (b"PK\x03\x04\x14", "the file is a zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\x00\x00\x08\x03\x00\x00", "truncated or another kind"),
        (by_hand()[:-1], r"announces 6 bytes of shape \(2, 1, 3\) and holds 5"),
        (by_hand() + b"\x00", "announces 6 bytes .* and holds 7"),
        (b"\x00\x00\x08\x02" + b"\xff" * 8, r"announces 18446744065119617025 .* and holds 0"),
    ],
)
def test_refuses_what_is_no_idx_file(tmp_path, content, said):
    path = tmp_path / "train-labels"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said) as error:
        read_idx(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_refuses_a_damaged_gzip_file(tmp_path, damage):
    content = bytearray(gzip.compress(bytes(by_hand())))
    if damage == "truncated":
        content = content[:-9]
    else:
        content[-12] ^= 0x10
    path = tmp_path / "train-images.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="truncated or damaged"):
        read_idx(path)


def test_refuses_to_write_other_numbers():
    with pytest.raises(ValueError, match="the array is float32"):
        encode_idx(np.zeros(3, np.float32))
