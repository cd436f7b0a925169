import json
import random
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.train import CheckpointError, Checkpoints, DamagedError
from attn_jax.train.devices import data_mesh, replicate


def arrays(fill):
    return {
        "params": {"kernel": jnp.full((5, 3), fill, jnp.bfloat16), "bias": jnp.arange(7.0) * fill},
        "opt": (jnp.int32(fill), {"mu": jnp.full((2,), -fill, jnp.float32)}),
        "rng": jax.random.key(fill),
    }


def same(a, b):
    def raw(x):
        is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(x) if is_key else x).tobytes()

    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        raw(x) == raw(y) and x.dtype == y.dtype
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    checkpoints = Checkpoints(tmp_path_factory.mktemp("run") / "checkpoints")
    for step in (2, 3, 5):
        checkpoints.save(step, arrays(step), {"step": step})
    return checkpoints.folder


@pytest.fixture
def checkpoints(written, tmp_path):
    return Checkpoints(shutil.copytree(written, tmp_path / "checkpoints"))


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(content)


def test_what_was_saved_is_restored_bit_for_bit(checkpoints):
    restored, record = checkpoints.restore(5, arrays(0))
    assert same(restored, arrays(5))
    assert record == {"step": 5}


def test_without_a_likeness_dictionaries_come_back(checkpoints):
    restored, _ = checkpoints.restore(3)
    assert same(restored["params"], arrays(3)["params"])


def test_without_a_likeness_the_devices_it_was_saved_from_do_not_matter(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, replicate(data_mesh(), arrays(3)), {})
    restored, _ = checkpoints.restore(1)
    assert restored["params"]["bias"].devices() == {jax.devices()[0]}
    assert same(restored["params"], arrays(3)["params"])
    assert same(restored["rng"], jax.random.key_data(arrays(3)["rng"]))


def test_a_checkpoint_of_one_device_is_restored_onto_four(checkpoints):
    like = replicate(data_mesh(jax.devices()[:4]), arrays(0))
    restored, _ = checkpoints.restore(5, like)
    assert same(restored, arrays(5))
    assert restored["params"]["bias"].sharding.num_devices == 4


def test_the_newest_is_restored(checkpoints):
    said = []
    restored, record = checkpoints.newest(arrays(0), said.append)
    assert (record["step"], said) == (5, [])
    assert same(restored, arrays(5))


def test_a_flipped_bit_in_any_file_is_reported_and_the_one_before_restored(checkpoints):
    moments = random.Random(0)
    whole = checkpoints.folder / "5"
    files = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
    assert len(files) > 5
    for name in files:
        spare = shutil.copytree(whole, checkpoints.folder.parent / "spare")
        flip(whole / name, moments.randrange(8 * (whole / name).stat().st_size))
        with pytest.raises(DamagedError):
            checkpoints.restore(5)
        shutil.rmtree(whole)
        spare.rename(whole)
    flip(whole / "record.json", 0)
    said = []
    restored, record = checkpoints.newest(arrays(0), said.append)
    assert record == {"step": 3}
    assert same(restored, arrays(3))
    assert said == [
        "Skipped the checkpoint of step 5: record.json differs from its sha256 sum. "
        "It is now 5.damaged."
    ]
    assert checkpoints.steps() == [2, 3]


def test_a_half_written_one_is_reported_and_the_one_before_restored(checkpoints):
    half = checkpoints.folder / "7"
    shutil.copytree(checkpoints.folder / "5" / "arrays", half / "arrays")
    said = []
    _, record = checkpoints.newest(arrays(0), said.append)
    assert record == {"step": 5}
    assert said == [
        "Skipped the checkpoint of step 7: it is unfinished (it has no manifest). It was removed."
    ]
    assert not half.exists()


def test_what_is_left_of_a_removal_that_was_cut_short_is_removed(checkpoints):
    (checkpoints.folder / "2" / "MANIFEST.sha256").unlink()
    said = []
    assert checkpoints.newest(arrays(0), said.append) is not None
    assert checkpoints.steps() == [3, 5]
    checkpoints.keep = 1
    assert checkpoints.newest(arrays(0), said.append) is not None
    assert checkpoints.steps() == [5]
    assert not said


@pytest.mark.parametrize("text", ["[]", "3", '{"metrics": []}', '{"metrics": {"m": "x"}}', "{"])
def test_a_record_of_another_shape_has_no_metric(tmp_path, text):
    checkpoints = Checkpoints(tmp_path, best="m")
    for step in (1, 2):
        (tmp_path / str(step)).mkdir()
        (tmp_path / str(step) / "record.json").write_text('{"metrics": {"m": 0.5}}')
    (tmp_path / "2" / "record.json").write_text(text)
    assert checkpoints.best_steps() == [1]
    assert isinstance(checkpoints.record(2), dict)


def test_steps_are_ordered_from_the_best(tmp_path):
    for metric, order in (("accuracy", [2, 4, 1, 3]), ("loss", [3, 1, 2, 4])):
        checkpoints = Checkpoints(tmp_path / metric, best=metric)
        for step, value in enumerate((0.5, 0.9, 0.1, 0.9), start=1):
            (tmp_path / metric / str(step)).mkdir(parents=True)
            record = {"metrics": {metric: value}}
            (tmp_path / metric / str(step) / "record.json").write_text(json.dumps(record))
        assert checkpoints.best_steps() == order


def test_with_none_whole_there_is_none(checkpoints):
    for step in checkpoints.steps():
        (checkpoints.folder / str(step) / "MANIFEST.sha256").unlink()
    said = []
    assert checkpoints.newest(arrays(0), said.append) is None
    assert len(said) == 3


def test_a_folder_that_does_not_exist_has_none(tmp_path):
    checkpoints = Checkpoints(tmp_path / "nowhere")
    assert checkpoints.steps() == []
    assert checkpoints.best_step() is None
    assert checkpoints.newest(arrays(0), print) is None


@pytest.mark.parametrize(
    ("metric", "values", "kept", "best"),
    [
        ("validation/accuracy", [0.5, 0.9, 0.7, None, 0.8], [2, 4, 5], 2),
        ("validation/accuracy", [0.9, 0.9, 0.7, 0.6, 0.5], [1, 4, 5], 1),
        ("validation/loss", [0.5, 0.9, 0.7, None, 0.8], [1, 4, 5], 1),
        ("validation/bleu", [0.5, 0.9, 0.7, None, 0.8], [4, 5], None),
    ],
)
def test_the_last_and_the_best_are_kept(tmp_path, metric, values, kept, best):
    checkpoints = Checkpoints(tmp_path, keep=2, best=metric)
    name = metric.replace("bleu", "loss")
    for step, value in enumerate(values, start=1):
        metrics = {} if value is None else {name: value}
        checkpoints.save(step, {"x": jnp.float32(step)}, {"metrics": metrics})
    assert checkpoints.steps() == kept
    assert checkpoints.best_step() == best


def test_one_that_cannot_be_written_says_so_and_leaves_the_others(checkpoints, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("attn_jax.train.disk.manifest.os.fsync", full)
    with pytest.raises(CheckpointError, match=r"(?s)step 7 could not .* No space left .* resume"):
        checkpoints.save(7, arrays(7), {})
    assert checkpoints.steps() == [2, 3, 5]
