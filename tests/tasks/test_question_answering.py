"""Stories and questions: a simulation of the sentences alone gives the answers."""

import jax
import numpy as np
import pytest

from attn_jax.tasks import QuestionAnswering

SMALL = {"train": 150, "validation": 7, "test": 30, "lengths": (12, 20)}
TASKS = {facts: QuestionAnswering(facts=facts, **SMALL) for facts in (1, 2, 3)}
TAKING = {"picked", "grabbed", "took"}
DROPPING = {"put", "dropped", "left"}


def told(sentences):
    """Return where everyone and everything has been, sentence by sentence."""
    at, holder, history = {}, {}, {}
    for person, verb, *_, last in sentences:
        if verb in TAKING:
            assert holder.get(last) is None
            holder[last] = person
        elif verb in DROPPING:
            assert holder.pop(last) == person
            holder[last] = None
        else:
            assert at.get(person) != last
            at[person] = last
        for thing in [x for x, who in holder.items() if who == person]:
            places = history.setdefault(thing, [])
            if not places or places[-1] != at[person]:
                places.append(at[person])
    return at, holder, history


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("facts", [1, 2, 3])
def test_a_simulation_of_the_story_gives_the_answer(facts, split):
    for story in TASKS[facts].stories(split):
        at, holder, history = told(story.sentences)
        if facts == 1:
            assert story.answer == at[story.question[-1]]
        elif facts == 2:
            assert story.answer == at[holder[story.question[-1]]]
        else:
            thing, place = story.question[3], story.question[-1]
            places = history[thing]
            last = len(places) - 1 - places[::-1].index(place)
            assert places[last - 1] == story.answer


@pytest.mark.parametrize("facts", [1, 2, 3])
def test_the_facts_are_those_that_a_reader_needs(facts):
    for story in TASKS[facts].stories("test"):
        needed = [story.sentences[place] for place in story.facts]
        assert len(needed) == facts
        assert needed[-1][-1] == story.answer
        assert len({sentence[0] for sentence in needed}) == 1
        if facts > 1:
            assert needed[0][1] in TAKING
            assert needed[0][-1] == story.question[2 if facts == 2 else 3] or facts == 2
            assert needed[0][-1] in story.question
        if facts == 3:
            assert needed[1][-1] == story.question[-1]
            assert story.facts[2] < story.facts[1]


def test_names_of_test_stories_never_met_their_places_or_things():
    def meetings(split):
        pairs = set()
        for story in TASKS[2].stories(split):
            names = {sentence[0] for sentence in story.sentences}
            others = {sentence[-1] for sentence in story.sentences}
            pairs |= {(name, other) for name in names for other in others}
        return pairs

    train, test = meetings("train"), meetings("test")
    assert not train & test
    assert not train & meetings("validation")
    assert {name for name, _ in test} <= {name for name, _ in train}


def test_rows_end_with_the_last_sentence():
    task, stories = TASKS[3], TASKS[3].stories("test")
    bucket, words = task.load()["test"][0], task.tokenizer.vocabulary
    for row, story in enumerate(stories):
        sentences = [
            tuple(words[token] for token in sentence if token) for sentence in bucket["story"][row]
        ]
        assert tuple(filter(None, sentences)) == story.sentences
        assert sentences[-1] == story.sentences[-1]
        assert [sentences[place] for place in bucket["facts"][row]] == [
            story.sentences[place] for place in story.facts
        ]
        assert task.answers[bucket["label"][row]] == story.answer


def test_in_training_words_are_exchanged_and_stories_stay_true():
    task = QuestionAnswering(facts=2, train=1500, validation=1, test=1, lengths=(12, 20))
    batch = {name: array[:20] for name, array in task.load()["train"][0].items()}
    exchanged = {n: np.asarray(a) for n, a in task.prepare(batch, jax.random.key(1)).items()}
    words = task.tokenizer.vocabulary
    assert (exchanged["story"] != batch["story"]).any()
    for row in range(20):
        story = [[words[token] for token in s if token] for s in exchanged["story"][row]]
        at, holder, _ = told(filter(None, story))
        asked = words[exchanged["question"][row][3]]
        assert task.answers[exchanged["label"][row]] == at[holder[asked]]
    kept = task.prepare(batch)
    np.testing.assert_array_equal(kept["story"], batch["story"])


LINES = [
    "story\tquestion\tanswer\tfacts",
    "Ann sat down. It rained!\tWho sat?\tAnn\t1",
    "Ann sat down. It rained!\tWhat fell?\train\t2",
    "Bo ran home.\tWho ran?\tBo\t",
    "Cy swam. Cy dried off.\tWho swam?\tCy\t2 1",
]


def written(folder, lines):
    path = folder / "own.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_your_own_stories_are_read_and_kept_together(tmp_path):
    task = QuestionAnswering(path=written(tmp_path, LINES))
    splits = {split: task.stories(split) for split in ("train", "validation", "test")}
    stories = {s.question: s for split in splits.values() for s in split}
    assert stories["what", "fell"].sentences == (("ann", "sat", "down"), ("it", "rained"))
    assert stories["what", "fell"].facts == (1,)
    assert stories["who", "swam"].facts == (1, 0)
    assert stories["who", "ran"].facts == ()
    together = [{s.question for s in split} for split in splits.values()]
    assert {("who", "sat"), ("what", "fell")} in together
    assert task.load()["train"][0]["facts"].shape[1] == 2


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], r"is empty; its first line must name the columns story, question and answer"),
        (["story\tanswer", "a\tb"], r"line 1: the columns are called story, answer; name them"),
        ([*LINES, "A.\tB?\tc"], r"line 6: 3 cells, but the first line names 4 columns"),
        ([*LINES, "A.\t\tc\t1"], r"line 6: the question is empty; fill it in, or delete"),
        ([*LINES, "A.\tB?\tc\t2"], r"line 6: the fact '2' is none of the 1 sentences of the story"),
        (LINES[:4], r"has 2 different stories; .* at least 3: add stories"),
    ],
)
def test_refuses_files_that_are_no_stories(tmp_path, lines, said):
    path = written(tmp_path, lines) if lines else tmp_path / "own.tsv"
    path.touch()
    with pytest.raises(ValueError, match=rf"own\.tsv.*{said}"):
        QuestionAnswering(path=path).load()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*absent\.tsv; --task\.path"):
        QuestionAnswering(path=tmp_path / "absent.tsv").load()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"test": 0}, "test=0 must be at least 1"),
        ({"lengths": (5, 9)}, r"lengths=\(5, 9\) must be two numbers from 6, the lower first"),
    ],
)
def test_refuses_settings_out_of_range(settings, said):
    with pytest.raises(ValueError, match=said):
        QuestionAnswering(**settings)
