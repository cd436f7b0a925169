"""Texts with planted evidence: the class follows from the words that are said to decide it."""

import numpy as np
import pytest

from attn_jax.tasks import PlantedEvidence
from attn_jax.tasks.planted_evidence.generated import EVIDENCE, NEGATIONS

TASK = PlantedEvidence(train=400, validation=13, test=17, clauses=(2, 5))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_evidence_alone_says_the_class(split):
    opposite = {"positive": "negative", "negative": "positive"}
    for text in TASK.texts(split):
        *negations, last = [text.words[place] for place in text.evidence]
        (meant,) = [label for label, words in EVIDENCE.items() if last in words]
        assert len(negations) <= 1
        assert set(negations) <= set(NEGATIONS)
        assert text.label == (opposite[meant] if negations else meant)
        clause = text.words[text.evidence[0] : text.evidence[-1] + 1]
        assert "." not in clause
        judging = [word for word in text.words if any(word in words for words in EVIDENCE.values())]
        assert judging == [last]


def test_no_word_alone_tells_the_class():
    texts = TASK.texts("train")
    negated = np.array([len(text.evidence) == 2 for text in texts])
    positive = np.array([text.label == "positive" for text in texts])
    # Four standard deviations of a share of 400.
    assert abs(negated.mean() - 0.5) < 0.1
    assert abs(positive[negated].mean() - 0.5) < 0.15
    used = [sum(word in NEGATIONS for word in text.words) for text in texts]
    assert np.mean(np.array(used) > negated) > 0.4


def test_rows_hold_the_words_their_evidence_and_their_class():
    bucket = TASK.load()["test"][0]
    assert {name: array.shape[0] for name, array in bucket.items()} == dict.fromkeys(bucket, 17)
    for row, text in enumerate(TASK.texts("test")):
        tokens = bucket["tokens"][row]
        assert [TASK.tokenizer.vocabulary[token] for token in tokens if token] == list(text.words)
        assert np.flatnonzero(bucket["evidence"][row]).tolist() == list(text.evidence)
        assert TASK.classes[bucket["label"][row]] == text.label
    again = PlantedEvidence(**vars_of(TASK)).load()["test"][0]
    np.testing.assert_array_equal(again["tokens"], bucket["tokens"])
    other = PlantedEvidence(**(vars_of(TASK) | {"seed": 1}))
    assert not {text.words for text in other.texts("test")} & {t.words for t in TASK.texts("train")}


def vars_of(task):
    return {name: getattr(task, name) for name in task.__dataclass_fields__}


LINES = [
    "text\tlabel\tevidence",
    "Good soup, good bread!\tpraise\tgood",
    "The door broke.\tblame\tbroke door",
    "So it was.\tblame\t",
    "It was fine\tpraise\tfine",
]


def written(folder, lines):
    path = folder / "own.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_your_own_texts_are_read_with_their_evidence(tmp_path):
    task = PlantedEvidence(path=written(tmp_path, LINES))
    assert task.classes == ("blame", "praise")
    texts = {
        text.words: text for split in ("train", "validation", "test") for text in task.texts(split)
    }
    assert len(texts) == 4
    soup = texts["good", "soup", ",", "good", "bread", "!"]
    assert (soup.label, soup.evidence) == ("praise", (0, 3))
    assert texts["the", "door", "broke", "."].evidence == (1, 2)
    assert texts["so", "it", "was", "."].evidence == ()


def test_long_texts_of_your_own_are_left_out_and_counted(tmp_path):
    task = PlantedEvidence(path=written(tmp_path, LINES), max_length=4)
    with pytest.warns(UserWarning, match="left out 1 texts with more than max_length=4 words"):
        assert len(task.texts("train")) == 1


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], r"is empty; its first line must name the columns text and label"),
        (["words\tlabel", "a\tb"], r"line 1: the columns are called words, label; name them text"),
        (["text\tlabel", "a\tb", "alone"], r"line 3: 1 cells, but the first line names 2 columns"),
        (["text\tlabel", "a\tb", "\tc"], r"line 3: the text is empty; fill it in, or delete"),
        (["text\tlabel", "a\t "], r"line 2: the label is empty"),
        ([*LINES, "New.\tblame\told"], r"line 6: the evidence 'old' is no word of the text"),
        (["text\tlabel", "a\tb", "c\tb"], r"has texts of 1 class; a classifier needs two"),
        (["text\tlabel", "a\tb", "c\td"], r"has 2 different texts; .* at least 3: add texts"),
        (["text\tlabel", "a\tb", "A\tc", "d\tb"], r"has the text 'a' as 'b' and as 'c'; delete"),
    ],
)
def test_refuses_files_that_are_no_texts(tmp_path, lines, said):
    path = written(tmp_path, lines) if lines else tmp_path / "own.tsv"
    path.touch()
    with pytest.raises(ValueError, match=rf"own\.tsv.*{said}"):
        PlantedEvidence(path=path).load()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*absent\.tsv; --task\.path"):
        PlantedEvidence(path=tmp_path / "absent.tsv").load()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"train": 0}, "train=0 must be at least 1"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
        ({"clauses": (3, 2)}, r"clauses=\(3, 2\) must be two numbers from 1, the lower first"),
    ],
)
def test_refuses_settings_out_of_range(settings, said):
    with pytest.raises(ValueError, match=said):
        PlantedEvidence(**settings)
