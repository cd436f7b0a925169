"""The grammar's French, links and splits; the sentences of the table were judged by hand."""

import itertools
import re

import pytest

from attn_jax.tasks import Translation
from attn_jax.tasks.translation.grammar import grammar_examples, is_held_out, lexicon
from attn_jax.tasks.translation.tokens import split_tokens

# English, French, and which English words each French one comes from, the chief one first; a word
# in brackets is no chief counterpart.
JUDGED = [
    ("i dreamed of his road near his island .",
     "j'/i ai/(dreamed) rêvé/dreamed de/of son/his chemin/road près/near de/(near) son/his "
     "île/island ./."),
    ("my princesses were tired .",
     "mes/my princesses/princesses étaient/were fatiguées/tired ./."),
    ("my street never dreamed of four clean men .",
     "ma/my rue/street n'/(never) a/(dreamed) jamais/never rêvé/dreamed de/of quatre/four "
     "hommes/men propres/clean ./."),
    ("this useful jacket did not run .",
     "cette/this veste/jacket utile/useful n'/(not) a/(run) pas/not couru/run ./."),
    ("his beautiful child will never refuse his plate .",
     "son/his bel/beautiful enfant/child ne/(never) refusera/refuse jamais/never son/his "
     "plat/plate ./."),
    ("you will speak to him without his rich beach .",
     "vous/you lui/him parlerez/speak sans/without sa/his plage/beach riche/rich ./."),
    ("five hard stars often speak to them .",
     "cinq/five étoiles/stars dures/hard leur/them parlent/speak souvent/often ./."),
    ("we will hear him .", "nous/we l'/him entendrons/hear ./."),
    ("seven young bags quickly leave him .",
     "sept/seven jeunes/young sacs/bags le/him quittent/leave vite/quickly ./."),
    ("every doctor often repaired a modern monkey .",
     "chaque/every médecin/doctor a/(repaired) souvent/often réparé/repaired un/a singe/monkey "
     "moderne/modern ./."),
    ("he will always smile at the soldiers .",
     "il/he sourira/smile toujours/always aux/at soldats/soldiers ./."),
    ("my fish rarely smiles at the strange cousin .",
     "mon/my poisson/fish sourit/smiles rarement/rarely au/at cousin/cousin étrange/strange ./."),
    ("they also open ten jerseys near the phone .",
     "ils/they ouvrent/open aussi/also dix/ten maillots/jerseys près/near du/(near) "
     "téléphone/phone ./."),
    ("seven full roofs will also dream of the singers .",
     "sept/seven toits/roofs pleins/full rêveront/dream aussi/also des/of chanteurs/singers ./."),
    ("three dry forks will not dream of some blue films .",
     "trois/three fourchettes/forks sèches/dry ne/(not) rêveront/dream pas/not de/of films/films "
     "bleus/blue ./."),
    ("some bad soldiers invited my new bridge .",
     "de/some mauvais/bad soldats/soldiers ont/(invited) invité/invited mon/my nouveau/new "
     "pont/bridge ./."),
    ("this long pen bought their heavy book in this hospital .",
     "ce/this long/long stylo/pen a/(bought) acheté/bought leur/their livre/book lourd/heavy "
     "dans/in cet/this hôpital/hospital ./."),
    ("my island thought of some warm mountains in this toy .",
     "mon/my île/island a/(thought) pensé/thought à/of des/some montagnes/mountains chaudes/warm "
     "dans/in ce/this jouet/toy ./."),
    ("his white thief calls the strange hotel .",
     "son/his voleur/thief blanc/white appelle/calls l'/the hôtel/hotel étrange/strange ./."),
    ("seven chairs spoke to the light mother far from a plane .",
     "sept/seven chaises/chairs ont/(spoke) parlé/spoke à/to la/the mère/mother légère/light "
     "loin/far d'/(far) un/a avion/plane ./."),
    ("a useful church closes him in front of several grey doors .",
     "une/a église/church utile/useful le/him ferme/closes devant/front plusieurs/several "
     "portes/doors grises/grey ./."),
    ("nine pink roofs will always think of my violet ring near the dark flower .",
     "neuf/nine toits/roofs roses/pink penseront/think toujours/always à/of ma/my bague/ring "
     "violette/violet près/near de/(near) la/the fleur/flower sombre/dark ./."),
    ("the white fruits explain seven hard bedrooms .",
     "les/the fruits/fruits blancs/white expliquent/explain sept/seven chambres/bedrooms "
     "dures/hard ./."),
    ("they use her .", "ils/they l'/her utilisent/use ./."),
    ("i often see her in five soft horses .",
     "je/i la/her vois/see souvent/often dans/in cinq/five chevaux/horses doux/soft ./."),
    ("our towns will be intelligent .",
     "nos/our villes/towns seront/be intelligentes/intelligent ./."),
    ("we never hate five slow cows .",
     "nous/we ne/(never) détestons/hate jamais/never cinq/five vaches/cows lentes/slow ./."),
]  # fmt: skip
COUNTS = {"train": 4000, "validation": 300, "test": 1000}


@pytest.fixture(scope="module")
def splits():
    return grammar_examples(**COUNTS, seed=0)


@pytest.fixture(scope="module")
def by_source(splits):
    return {" ".join(pair.source): pair for split in splits.values() for pair in split}


@pytest.mark.parametrize(("english", "french"), JUDGED, ids=[e for e, _ in JUDGED])
def test_sentences_and_links_as_judged_by_hand(by_source, english, french):
    pair = by_source[english]
    words, chiefs = zip(*(entry.split("/") for entry in french.split()), strict=True)
    assert pair.target == words
    for place, chief in enumerate(chiefs):
        sure = [pair.source[s] for t, s in pair.sure if t == place]
        possible = [pair.source[s] for t, s in pair.possible if t == place]
        assert sure == ([] if chief.startswith("(") else [chief])
        assert chief.strip("()") in possible


def test_there_are_many_lemmas():
    assert lexicon.count_lemmas() >= 300


def test_splits_are_what_was_asked_for_and_share_no_sentence(splits):
    assert {name: len(pairs) for name, pairs in splits.items()} == COUNTS
    for side in ("source_text", "target_text"):
        texts = [{getattr(pair, side) for pair in pairs} for pairs in splits.values()]
        assert sum(map(len, texts)) == len(set.union(*texts)) == sum(COUNTS.values())


def combinations(example, nouns, adjectives, verbs):
    """Finds the pairs among the English words alone, as any reader would."""
    words = example.source
    for place, (first, second) in enumerate(itertools.pairwise(words)):
        if first in adjectives and second in nouns:
            yield ("adjective", first, nouns[second])
        if first in verbs and place:
            rest = [w for w in words[place + 1 :] if w not in ("to", "of", "at", "about")]
            kind, other = _object(rest, nouns, adjectives)
            yield from ((kind, base, other) for base in verbs[first] if other)


def _object(rest, nouns, adjectives):
    if rest[0] in ("him", "her", "them"):
        return "clitic", rest[0]
    heads = [word for word in rest[1:3] if word not in adjectives]
    return "object", nouns.get(heads[0]) if heads else None


def test_combinations_held_out_are_in_test_alone(splits):
    nouns = {form: noun.english[0] for noun in lexicon.NOUNS for form in noun.english}
    adjectives = {adjective.english for adjective in lexicon.ADJECTIVES}
    verbs = {}
    for verb in (*lexicon.TRANSITIVE, *lexicon.TO_VERBS):
        for form in verb.english:
            verbs.setdefault(form, set()).add(verb.english[0])
    found = {
        split: [c for example in pairs for c in combinations(example, nouns, adjectives, verbs)]
        for split, pairs in splits.items()
    }
    for kind in ("adjective", "object", "clitic"):
        of_kind = {split: [c for c in each if c[0] == kind] for split, each in found.items()}
        assert len(of_kind["train"]) > 500
        assert not any(map(is_held_out, of_kind["train"] + of_kind["validation"]))
        assert sum(map(is_held_out, of_kind["test"])) > 50


def test_english_tells_french(splits):
    assert grammar_examples(**COUNTS, seed=0) == splits
    first = {}
    for seed in (1, 2):
        for pairs in grammar_examples(**COUNTS, seed=seed).values():
            for pair in pairs:
                assert first.setdefault(pair.source, pair.target) == pair.target


def test_links_are_in_range_and_every_word_has_one(splits):
    for pair in splits["train"]:
        assert set(pair.sure) <= set(pair.possible)
        assert {t for t, _ in pair.possible} == set(range(len(pair.target)))
        assert all(0 <= s < len(pair.source) for _, s in pair.possible)
        assert len({t for t, _ in pair.sure}) == len(pair.sure)


def test_words_are_those_that_the_tokenizer_finds(splits):
    for pair in splits["test"]:
        assert tuple(split_tokens(pair.source_text, "words")) == pair.source
        assert tuple(split_tokens(pair.target_text, "words")) == pair.target


def test_french_elides_and_contracts_everywhere(splits):
    text = " ".join(pair.target_text for pairs in splits.values() for pair in pairs)
    vowel = "(?:[aeiouéèêâîôœ]|homme|histoire|hôtel|hôpital|honnête)"
    assert not re.search(rf"\b(le|la|je|ne|de) {vowel}", text)
    assert not re.search(r"\b(de|à) les? ", text)
    assert not re.search(rf"\b(ce|ma|sa) {vowel}", text)
    assert re.search(r"\b(l'|cet )hôtel", text)


def test_it_is_a_task():
    task = Translation(name="grammar", train=500, validation=5, test=7)
    assert task.has_gold
    pair = task.examples("test")[3]
    assert task.target_tokenizer.tokens(pair.target_text) == list(pair.target)
