"""Pairs out of TFDS, from tiny sets that a builder written here prepares."""

import pytest

from attn_jax.tasks import Translation


@pytest.fixture
def prepare(own_folders):
    """Makes and prepares sets of translations, or of something else."""
    import tensorflow_datasets as tfds

    def make(splits, languages=("pt", "en"), folder=None, features=None):
        supervised = None if features else languages
        features = features or tfds.features.Translation(languages=languages)
        with tfds.core.registered.skip_registration():

            class TinyPairs(tfds.core.GeneratorBasedBuilder):
                VERSION = tfds.core.Version("1.0.0")

                def _info(self):
                    return tfds.core.DatasetInfo(
                        builder=self,
                        features=features,
                        supervised_keys=supervised,
                        disable_shuffling=True,
                    )

                def _split_generators(self, dl_manager):
                    return {split: self._generate_examples(split) for split in splits}

                def _generate_examples(self, split):
                    yield from enumerate(splits[split])

        root = folder or own_folders / "tfds"
        builder = TinyPairs(data_dir=root, file_format="array_record")
        builder.download_and_prepare()

    return make


def pairs(*texts):
    return [{"pt": f"Olá {text}", "en": f"hello {text}"} for text in texts]


def task(**options):
    return Translation(name="tfds", dataset="tiny_pairs", level="words", **options)


def texts(task, split):
    return [(pair.source_text, pair.target_text) for pair in task.examples(split)]


def test_pairs_with_an_empty_side_are_left_out_and_counted(prepare):
    prepare(
        {
            "train": [*pairs("a", "b"), {"pt": " ", "en": "hello"}, {"pt": "Olá x", "en": ""}],
            "validation": pairs("e"),
            "test": pairs("f"),
        }
    )
    translation = task()
    with pytest.warns(UserWarning, match="left out 2 pairs with an empty side"):
        translation.load()
    assert texts(translation, "train") == [("Olá a", "hello a"), ("Olá b", "hello b")]


def test_sets_that_tfds_imports_late_are_known():
    # It is known, so that what lacks is its data or TensorFlow, not its name.
    with pytest.raises(FileNotFoundError, match="prepare"):
        Translation(name="tfds", dataset="wmt16_translate/de-en").load()


def test_keeps_the_sets_own_splits_but_makes_them_disjoint(prepare):
    prepare(
        {
            "train": pairs("a", "b", "B!", "c", "d"),
            "validation": pairs("e", "C"),
            "test": pairs("f", "D", "e"),
        }
    )
    translation = task()
    with pytest.warns(UserWarning, match="left out .* of train, with a sentence of a later split"):
        translation.load()
    assert texts(translation, "test")[1] == ("Olá D", "hello D")
    # Which language is translated is what the set's supervised keys say.
    assert {split: texts(translation, split) for split in ("train", "validation")} == {
        "train": [("Olá a", "hello a"), ("Olá b", "hello b")],
        "validation": [("Olá C", "hello C")],
    }
    assert translation.skipped == {
        "duplicates": 1,
        "of validation, with a sentence of a later split": 1,
        "of train, with a sentence of a later split": 2,
    }


def test_a_set_of_one_split_is_shared_out(prepare, tmp_path):
    prepare({"train": pairs(*map(str, range(30)))}, folder=tmp_path / "own")
    translation = task(languages=("en", "pt"), folder=tmp_path / "own", test=2, validation=3)
    sizes = {split: len(translation.examples(split)) for split in ("train", "validation", "test")}
    assert sizes == {"train": 25, "validation": 3, "test": 2}
    found = {text for split in sizes for text in texts(translation, split)}
    assert found == {(f"hello {n}", f"Olá {n}") for n in range(30)}


@pytest.mark.parametrize("languages", [("en", "fr"), ("en", "en")])
def test_languages_that_the_set_has_not_are_refused(prepare, languages):
    prepare({"train": pairs("a")})
    with pytest.raises(ValueError, match=r"must be two of the languages of TFDS tiny_pairs: .*pt"):
        task(languages=languages).load()


def test_a_set_of_something_else_is_refused(prepare):
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
    prepare({"train": [{"text": "alone"}]}, features=features)
    with pytest.raises(ValueError, match=r"(?s)tiny_pairs has the features .* has a Translation"):
        task().load()


@pytest.mark.usefixtures("own_folders")
def test_a_set_that_is_none_is_refused():
    with pytest.raises(FileNotFoundError, match="TFDS knows no set 'tiny_pairs'"):
        task().load()
