import gzip

import numpy as np
import pytest

from attn_jax.tasks.mnist import wheel
from attn_jax.tasks.mnist.wheel import read_wheel

MEMBER = "mnist/data/mnist.pkl.gz"


def stream() -> bytearray:
    """A stream of zeros as long as the wheel's, with a few values where its arrays are."""
    content = bytearray(220_080_335)

    def put(offset: int, index: int, number: np.generic) -> None:
        start = offset + index * number.nbytes
        content[start : start + number.nbytes] = number.tobytes()

    put(133, 0, np.float32(3 / 256))  # The first pixel of the first training image.
    put(133, 49_999 * 784 + 783, np.float32(255 / 256))
    put(157_200_236, 28 + 2, np.float32(5 / 256))  # Row 1, column 2 of image 50,000.
    put(188_640_304, 9_999 * 784, np.float32(7 / 256))
    put(156_800_199, 49_999, np.int64(9))
    put(188_560_267, 0, np.int64(8))
    put(220_000_335, 9_999, np.int64(6))
    return content


@pytest.fixture
def serve(registry, monkeypatch):
    def serve_member(content: bytes) -> None:
        monkeypatch.setattr(wheel, "MNIST_WHEEL", registry.add({MEMBER: content}))

    return serve_member


def test_reads_the_arrays_at_their_offsets(serve):
    serve(gzip.compress(stream(), compresslevel=1))
    arrays = read_wheel()
    nonzero = {
        name: [(*map(int, place), int(array[tuple(place)])) for place in np.argwhere(array)]
        for name, array in arrays.items()
    }
    assert nonzero == {
        "train_images": [(0, 0, 0, 3), (49_999, 27, 27, 255), (50_000, 1, 2, 5)],
        "train_labels": [(49_999, 9), (50_000, 8)],
        "test_images": [(9_999, 0, 0, 7)],
        "test_labels": [(9_999, 6)],
    }
    assert {name: array.shape for name, array in arrays.items()} == {
        "train_images": (60_000, 28, 28),
        "train_labels": (60_000,),
        "test_images": (10_000, 28, 28),
        "test_labels": (10_000,),
    }
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.uint8)}


@pytest.mark.parametrize(
    "content",
    [
        b"no gzip stream",
        gzip.compress(bytes(999), mtime=0),
        gzip.compress(bytes(999), mtime=0)[:-12],
    ],
    ids=["other", "short", "truncated"],
)
def test_a_stream_that_is_another_is_refused(serve, content):
    serve(content)
    with pytest.raises(ValueError, match=r"mnist\.pkl\.gz of tiny-data==1\.0 is damaged"):
        read_wheel()


def test_a_pickle_is_never_opened(serve, tmp_path):
    # Unpickled, this would make the file.
    serve(gzip.compress(b"cposix\nsystem\n(Vtouch " + str(tmp_path / "made").encode() + b"\ntR."))
    with pytest.raises(ValueError, match="is damaged"):
        read_wheel()
    assert not (tmp_path / "made").exists()
