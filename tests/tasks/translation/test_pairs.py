"""Real pairs: bitexts out of wheels built here, duplicates, and splits that share nothing."""

import hashlib
import json
import unicodedata

import numpy as np
import pytest

from attn_jax.tasks import Translation
from attn_jax.tasks.cache import cache_folder, read_arrays, write_arrays
from attn_jax.tasks.fetch import FetchError
from attn_jax.tasks.translation import bitext
from attn_jax.tasks.translation.bitext_digests import BITEXT_DIGESTS
from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.pairs import sentence_key, split_pairs

NOUNS = ["lamp", "door", "fan", "lock", "valve", "siren", "light"]


LEFT_OUT = {"not of 3 to 12 words": 1, "with placeholders": 1, "not translated": 1}


def component(name, english, other, language="fr"):
    folder = f"homeassistant/components/{name}/translations"
    return {
        f"{folder}/en.json": json.dumps(english).encode(),
        f"{folder}/{language}.json": json.dumps(other).encode(),
    }


def pin(monkeypatch, corpus, pairs):
    """Pins the tiny wheel's pairs in place of the real ones of French."""
    digest = hashlib.sha256(json.dumps([list(pair) for pair in pairs]).encode()).hexdigest()
    monkeypatch.setitem(BITEXT_DIGESTS[corpus], "fr", digest)


@pytest.fixture
def home_assistant(registry, monkeypatch):
    english = {"title": {n: f"Turn the {n} off." for n in NOUNS}, "only": "Nobody says this."}
    english |= {"short": "Two words", "hole": "The {name} is here", "twin": "turn the LAMP off"}
    english |= {"same": "Home Assistant Cloud"}
    french = {"title": {n: f"Éteindre « {n} »." for n in NOUNS}, "extra": "Rien de plus ici."}
    french |= {"short": "Deux mots", "hole": "{name} est ici", "twin": "éteindre lamp"}
    french |= {"same": "Home  Assistant Cloud"}
    files = component("a", english, french)
    files |= component("b", {"x": "Open the door now"}, {"x": "Ouvrir la porte"})
    files["homeassistant/components/c/__init__.py"] = b"raise RuntimeError('never run')"
    wheel = registry.add(files)
    monkeypatch.setattr(bitext, "HOME_ASSISTANT", wheel)
    titles = [(f"Turn the {noun} off.", f"Éteindre « {noun} ».") for noun in NOUNS]
    others = [("Two words", "Deux mots"), ("The {name} is here", "{name} est ici")]
    others += [
        ("turn the LAMP off", "éteindre lamp"),
        ("Home Assistant Cloud", "Home  Assistant Cloud"),
    ]
    others += [("Open the door now", "Ouvrir la porte")]
    pin(monkeypatch, "homeassistant", titles + others)
    return registry


def test_reads_home_assistants_pairs_and_counts_the_others(home_assistant):
    examples, skipped = bitext.read_bitext("homeassistant", "fr")
    assert [(pair.source_text, pair.target_text) for pair in examples] == [
        *((f"Turn the {noun} off.", f"Éteindre « {noun} ».") for noun in NOUNS),
        ("turn the LAMP off", "éteindre lamp"),
        ("Open the door now", "Ouvrir la porte"),
    ]
    assert skipped == LEFT_OUT


@pytest.mark.usefixtures("home_assistant")
def test_a_bitext_is_a_task():
    task = Translation(name="bitext", level="words")
    splits = task.load()
    assert task.skipped == LEFT_OUT | {"duplicates": 1}
    assert {split: sum(len(b["example"]) for b in bs) for split, bs in splits.items()} == {
        "train": 6,
        "validation": 1,
        "test": 1,
    }
    assert not task.has_gold


@pytest.mark.usefixtures("home_assistant")
def test_what_an_option_leaves_out_of_a_bitext_is_told():
    task = Translation(name="bitext", level="words", train=3)
    told = r"homeassistant in fr: left out 3 beyond train=3\.$"
    with pytest.warns(UserWarning, match=told):
        task.load()


def test_the_second_time_needs_no_registry(home_assistant):
    first = bitext.read_bitext("homeassistant", "fr")
    home_assistant.path.unlink()
    assert bitext.read_bitext("homeassistant", "fr") == first
    with pytest.raises(FetchError, match=r"cannot download tiny-data==1\.0"):
        bitext.read_bitext("homeassistant", "de")


def test_a_damaged_cache_is_set_aside(home_assistant):
    first = bitext.read_bitext("homeassistant", "fr")
    (path,) = cache_folder().glob("*.npz")
    path.write_bytes(b"PK no zip")
    with pytest.warns(UserWarning, match=r"is damaged.*set aside.*fetched again"):
        assert bitext.read_bitext("homeassistant", "fr") == first
    assert home_assistant.path.exists()


@pytest.mark.parametrize("change", ["a text", "fewer pairs", "numbers", "a column less"])
def test_a_cache_of_other_pairs_is_set_aside(home_assistant, change):
    examples = bitext.read_bitext("homeassistant", "fr")
    (path,) = cache_folder().glob("*.npz")
    arrays = read_arrays(path)
    if change == "a text":
        arrays["target"][2] += "!"
    elif change == "numbers":
        arrays = {name: np.array([b"a"] * len(array)) for name, array in arrays.items()}
    elif change == "a column less":
        del arrays["target"]
    else:
        arrays = {name: array[:-1] for name, array in arrays.items()}
    write_arrays(path, arrays)
    with pytest.warns(UserWarning, match=r"the cache .*set aside.*fetched again"):
        assert bitext.read_bitext("homeassistant", "fr") == examples
    assert path.with_name(f"{path.name}.damaged").exists()
    assert bitext.read_bitext("homeassistant", "fr") == examples


@pytest.mark.usefixtures("home_assistant")
def test_a_cache_that_may_not_be_read_is_left_alone(unreadable):
    examples = bitext.read_bitext("homeassistant", "fr")
    unreadable(cache_folder())
    with pytest.warns(UserWarning, match=r"npz may not be read .*fetched again"):
        assert bitext.read_bitext("homeassistant", "fr") == examples
    assert [path.suffix for path in cache_folder().iterdir()] == [".npz"]


@pytest.mark.usefixtures("home_assistant")
def test_other_pairs_than_the_pinned_ones_are_refused(monkeypatch):
    monkeypatch.setitem(BITEXT_DIGESTS["homeassistant"], "fr", "0" * 64)
    with pytest.raises(ValueError, match=r"the wheel tiny-data==1\.0 does not .* expected 000"):
        bitext.read_bitext("homeassistant", "fr")


def test_every_pinned_wheel_has_digests():
    assert BITEXT_DIGESTS["jupyterlab"].keys() == bitext.JUPYTERLAB.keys()
    digests = [digest for languages in BITEXT_DIGESTS.values() for digest in languages.values()]
    assert all(len(digest) == 64 and int(digest, 16) for digest in digests)
    assert len(set(digests)) == len(digests) > 60


@pytest.mark.usefixtures("home_assistant")
def test_a_language_that_is_none_is_refused():
    with pytest.raises(
        ValueError, match=r"language='tlh' is not one of homeassistant's languages: af, ar"
    ):
        bitext.read_bitext("homeassistant", "tlh")
    with pytest.raises(
        ValueError, match=r"language='ja' is not one of jupyterlab's languages: fr, de, es"
    ):
        bitext.read_bitext("jupyterlab", "ja")


def test_a_language_that_is_a_path_is_refused():
    with pytest.raises(ValueError, match=r"language='../fr' is not a language code"):
        Translation(name="bitext", language="../fr").load()


def test_reads_jupyterlabs_catalogues(registry, monkeypatch):
    catalogue = {
        "": {"domain": "notebook"},
        "schema\x04Close this tab": ["Fermer cet onglet"],
        "Save all files": ["", "x"],
        "Open the file": ["Ouvrir le fichier"],
    }
    name = "pack_fr_FR/locale/fr_FR/LC_MESSAGES/notebook.json"
    wheel = registry.add({name: json.dumps(catalogue).encode(), f"{name[:-4]}mo": b"binary"})
    monkeypatch.setitem(bitext.JUPYTERLAB, "fr", wheel)
    pairs = [("Close this tab", "Fermer cet onglet"), ("Open the file", "Ouvrir le fichier")]
    pin(monkeypatch, "jupyterlab", pairs)
    examples, _ = bitext.read_bitext("jupyterlab", "fr")
    assert [(pair.source_text, pair.target_text) for pair in examples] == [
        ("Close this tab", "Fermer cet onglet"),
        ("Open the file", "Ouvrir le fichier"),
    ]


def plain(text):
    """Another route to what makes sentences the same: letters and digits alone, in lower case."""
    return [c for c in unicodedata.normalize("NFD", text.lower()) if c.isalnum()]


def test_splits_share_no_source_whatever_its_case_and_punctuation():
    rng = np.random.default_rng(5)
    words = ["Le Chat", "le chat", "Le, chat!", "chien", "CHIEN", "l' âne", "L’âne", "rat", "loup"]
    endings = ["", ".", " !", "…"]
    texts = [f"{rng.choice(words)} {n}{rng.choice(endings)}" for n in rng.integers(31, size=401)]
    pairs = [Example((), (), source_text=t, target_text=str(i)) for i, t in enumerate(texts)]
    splits = split_pairs(pairs, validation=17, test=900, seed=0, origin="here")
    assert sorted(p.target_text for s in splits.values() for p in s) == sorted(map(str, range(401)))
    assert len(splits["validation"]) == 17
    assert len(splits["test"]) == 40
    met = [{"".join(plain(p.source_text)) for p in split} for split in splits.values()]
    assert sum(map(len, met)) == len(set.union(*met))


@pytest.mark.parametrize("seed", range(5))
def test_what_many_pairs_share_stays_in_training(seed):
    pairs = [Example((), (), source_text=f"s {i}", target_text="OK") for i in range(600)]
    pairs += [Example((), (), source_text=f"s {i}", target_text=f"t {i}") for i in range(600, 2000)]
    splits = split_pairs(pairs, validation=50, test=900, seed=seed, origin="here")
    sizes = {split: len(pairs) for split, pairs in splits.items()}
    assert sizes == {"train": 1750, "validation": 50, "test": 200}


def test_splits_share_no_target_either():
    rng = np.random.default_rng(7)
    texts = [(f"source {i}", f"Cible {n}") for i, n in enumerate(rng.integers(90, size=300))]
    # Joined by others: the first and the last of these share nothing themselves.
    texts += [("a a", "un"), ("a a", "deux"), ("b b", "deux"), ("b b", "trois")]
    pairs = [Example((), (), source_text=s, target_text=t) for s, t in texts]
    splits = split_pairs(pairs, validation=20, test=20, seed=1, origin="here")
    assert sum(map(len, splits.values())) == len(pairs)
    for side in ("source_text", "target_text"):
        met = [{getattr(p, side) for p in split} for split in splits.values()]
        assert sum(map(len, met)) == len(set.union(*met))
    (chain,) = [split for split in splits.values() if any(p.target_text == "un" for p in split)]
    assert any(p.target_text == "trois" for p in chain)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Straße", "STRASSE!", True),
        ("cafe\u0301", "CAFÉ", True),
        ("it's  on", "It’s on.", True),
        ("की", "का", False),
        ("5 €", "5 $", False),
        ("a-b", "ab", True),
        ("1.5 m", "15 m", False),
        ("1,000!", "1,000", True),
        ("-5 °C", "5 °C", False),
        ("covid-19", "COVID 19", True),
    ],
)
def test_which_sentences_count_as_the_same(one, other, same):
    assert (sentence_key(one) == sentence_key(other)) is same
