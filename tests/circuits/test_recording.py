"""Values on disk: what capture returns for each batch, whatever happens while they are written."""

import os
import shutil
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import streams

from attn_jax import hooks
from attn_jax.circuits import load, record

TOKENS = [
    np.array([[1, 2, 3, 4, 5], [6, 7, 3, 8, 2]]),
    np.array([[1, 9, 3, 4, 5], [6, 10, 3, 8, 2]]),
    np.array([[0, 3, 3, 1, 7]]),
]
EXPECTED = streams.values_of(np.concatenate(TOKENS))
SPEC = ["*.weights", "*.mlp"]


def double(x):
    """A model of any inputs, quick to compile."""
    return hooks.tap("layers.0.mlp", 2 * x)


BATCHES = [np.arange(12, dtype=np.float32).reshape(4, 3) + 100 * i for i in range(4)]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return record(streams.model, SPEC, TOKENS, tmp_path_factory.mktemp("unrolled"))


def test_holds_the_examples_of_all_batches(recording):
    assert set(recording) == {
        f"layers.{i}.{n}" for i in (0, 1) for n in ("attention.weights", "mlp")
    }
    for name, value in recording.items():
        assert recording.shape(name) == value.shape
        np.testing.assert_allclose(value, EXPECTED[name], atol=1e-5)


def test_reads_a_value_batch_by_batch(recording):
    parts = list(recording.parts("layers.1.mlp"))
    assert [len(part) for part in parts] == [2, 2, 1]
    np.testing.assert_allclose(parts[2], EXPECTED["layers.1.mlp"][4:], atol=1e-5)


def test_examples_follow_the_axes_of_scans(tmp_path):
    recording = record(streams.scanned, [*SPEC, "layers.1.residual"], TOKENS, tmp_path)
    assert (recording.batch_axis("layers.*.mlp"), recording.batch_axis("layers.1.residual")) == (
        1,
        0,
    )
    for leaf in ("attention.weights", "mlp"):
        expected = np.stack([EXPECTED[f"layers.{i}.{leaf}"] for i in (0, 1)])
        np.testing.assert_allclose(recording[f"layers.*.{leaf}"], expected, atol=1e-5)
    np.testing.assert_allclose(
        recording["layers.1.residual"], EXPECTED["layers.1.residual"], atol=1e-5
    )


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.int8, bool])
def test_keeps_every_dtype(dtype, tmp_path):
    def fn(x):
        return hooks.tap("x", x.astype(dtype))

    value = record(fn, "*", BATCHES[:2], tmp_path)["x"]
    assert value.dtype == dtype
    np.testing.assert_array_equal(value, np.concatenate(BATCHES[:2]).astype(dtype))


def test_reducers_return_a_tree_or_a_scalar_for_each_batch(tmp_path):
    spec = {"*.mlp": lambda x: {"rows": x.sum(-1), "mean": x.mean()}}
    recording = record(double, spec, BATCHES, tmp_path)
    np.testing.assert_allclose(
        recording["layers.0.mlp['rows']"], 2 * np.concatenate(BATCHES).sum(-1)
    )
    np.testing.assert_allclose(
        recording["layers.0.mlp['mean']"], [2 * batch.mean() for batch in BATCHES]
    )


def test_refuses_a_reducer_that_drops_the_batch(tmp_path):
    with pytest.raises(hooks.HookError, match=r"\[4, 3\] and is reduced to \[3\]: a reducer keeps"):
        record(double, {"*.mlp": lambda x: x.mean(0)}, BATCHES, tmp_path)


@pytest.mark.parametrize("limit", [400, 100, 50])
def test_no_file_holds_more_than_its_limit(limit, tmp_path):
    def fn(x):
        return hooks.tap("b", hooks.tap("a", jnp.stack([x, x + 1], 1)) * 3)

    batches = BATCHES[:2]
    recording = record(fn, "*", batches, tmp_path, shard_bytes=limit)
    from safetensors.numpy import load_file

    for path in tmp_path.glob("*.safetensors"):
        assert 0 < sum(value.nbytes for value in load_file(path).values()) <= limit
    x = np.concatenate(batches)
    np.testing.assert_array_equal(recording["a"], np.stack([x, x + 1], 1))
    np.testing.assert_array_equal(recording["b"], np.stack([x, x + 1], 1) * 3)


def test_refuses_a_limit_below_one_slice(tmp_path):
    with pytest.raises(ValueError, match=r"shard_bytes=7 .* pieces of 12 bytes"):
        record(double, "*", BATCHES, tmp_path, shard_bytes=7)


class Killed(BaseException):
    """What nothing catches."""


@pytest.mark.parametrize("writes", range(9))
def test_goes_on_after_its_last_whole_batch(writes, tmp_path, monkeypatch):
    replace, count = os.replace, 0

    def killed_replace(*paths):
        nonlocal count
        if count == writes:
            raise Killed
        count += 1
        replace(*paths)

    monkeypatch.setattr(os, "replace", killed_replace)
    with pytest.raises(Killed):
        record(double, "*", BATCHES, tmp_path)
    monkeypatch.undo()
    whole = writes // 2  # each batch writes a shard and the index
    if whole:
        with pytest.raises(
            ValueError, match=f"interrupted after {whole} batches: call record again"
        ):
            load(tmp_path)
        partial = load(tmp_path, partial=True)["layers.0.mlp"]
        np.testing.assert_array_equal(partial, 2 * np.concatenate(BATCHES[:whole]))
    inodes = {path.name: path.stat().st_ino for path in tmp_path.glob("*.safetensors")}
    recording = record(double, "*", BATCHES, tmp_path)
    np.testing.assert_array_equal(recording["layers.0.mlp"], 2 * np.concatenate(BATCHES))
    for number in range(whole):
        name = f"{number:06}-000.safetensors"
        assert (tmp_path / name).stat().st_ino == inodes[name]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    record(double, "*", BATCHES, folder)
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def test_more_batches_go_on(copy):
    recording = record(double, "*", [*BATCHES, BATCHES[0][:1]], copy)
    expected = 2 * np.concatenate([*BATCHES, BATCHES[0][:1]])
    np.testing.assert_array_equal(recording["layers.0.mlp"], expected)


def delete(path):
    path.unlink()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-9] ^= 4
    path.write_bytes(content)


def overwrite(path):
    path.write_bytes(b"\xff" * 200)


@pytest.mark.parametrize("damage", [delete, truncate, flip, overwrite], ids=lambda f: f.__name__)
def test_a_damaged_file_is_named_and_recorded_anew(damage, copy):
    shard = copy / "000002-000.safetensors"
    damage(shard)
    recording = load(copy)
    assert len(next(recording.parts("layers.0.mlp"))) == 4  # the others can be read
    with pytest.raises(ValueError, match=r"000002-000.safetensors is .*call record again") as error:
        recording["layers.0.mlp"]
    assert "\n" not in str(error.value)
    shard.unlink(missing_ok=True)
    again = record(double, "*", BATCHES, copy)["layers.0.mlp"]
    np.testing.assert_array_equal(again, 2 * np.concatenate(BATCHES))


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"{", b"["), (b'"version": 1', b'"version": 2'), (b"000002-000", b"../02-000")],
    ids=["json", "version", "path"],
)
def test_refuses_a_damaged_index(old, new, copy):
    index = copy / "index.json"
    index.write_bytes(index.read_bytes().replace(old, new))
    with pytest.raises(ValueError, match=r"index.json is damaged: .*record into an empty folder"):
        load(copy)


@pytest.mark.parametrize(
    ("spec", "batches", "message"),
    [
        ("*", [BATCHES[0] + 1, *BATCHES[1:]], "batch 0 had other inputs"),
        ("*", BATCHES[:3], "there are 4 batches, not 3"),
        ("*", [], "there are 4 batches, not 0"),
        ("*", [*BATCHES, np.zeros((4, 5))], r"batch 4 is float32\[batch, 5\], and was"),
        ({"*": lambda x: x.sum(-1)}, BATCHES, r"batch 0 is float32\[batch\], and was float32\["),
        ({"*": lambda x: (x,)}, BATCHES, "batch 0 is absent, and was"),
    ],
    ids=["inputs", "fewer", "none", "length", "reducer", "name"],
)
def test_refuses_to_mix_recordings(spec, batches, message, copy):
    with pytest.raises(ValueError, match=message):
        record(double, spec, batches, copy)


def test_refuses_a_folder_without_a_recording(tmp_path):
    with pytest.raises(ValueError, match=r"holds no recording; circuits.record makes one"):
        load(tmp_path)


def test_names_the_package_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"pip install 'attn-jax\[hub\]'"):
        record(double, "*", BATCHES, tmp_path)


def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process its peak memory")
def test_two_batches_are_the_most_in_memory(tmp_path):
    rows, columns = 16, 2**20

    def fn(x):
        return hooks.tap("large", x[:, None] + jnp.arange(columns, dtype=jnp.float32)[None])

    batches = [np.full(rows, i, np.float32) for i in range(5)]
    record(fn, "*", batches[:1], tmp_path / "first")  # compiles, and imports what is needed
    Path("/proc/self/clear_refs").write_text("5")  # the peak falls to what is held now
    before = status("VmHWM")
    record(fn, "*", batches, tmp_path / "all", shard_bytes=2**24)
    assert status("VmHWM") - before < 2 * (4 * rows * columns)
