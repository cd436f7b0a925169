"""Questions about pictures: the pixels give the answers, and the truth is known by hand."""

import hashlib
import io
import json
from itertools import pairwise
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from attn_jax.tasks import VisualQuestions
from attn_jax.tasks.visual_questions import easy_vqa
from attn_jax.tasks.visual_questions.asking import KINDS, ask
from attn_jax.tasks.visual_questions.guess import question_only
from attn_jax.tasks.visual_questions.picture import Question
from attn_jax.tasks.visual_questions.scene import COLORS, SHAPES, Thing, new_pairs

TASK = VisualQuestions(train=60, validation=3, test=40)
# A red circle above and left of a blue square; a blue cross at the bottom, right of both.
SCENE = (
    Thing("circle", "red", (2, 2, 14, 14)),
    Thing("square", "blue", (20, 20, 40, 40)),
    Thing("cross", "blue", (44, 44, 60, 60)),
)
CIRCLE, SQUARE, CROSS = (thing.box for thing in SCENE)


def every(kind):
    """Return all questions of a kind about the scene, by their words."""
    rng = np.random.default_rng(0)
    drawn = [ask(SCENE, kind, "train", rng) for _ in range(300)]
    return {" ".join(each.words): each for each in drawn if each is not None}


def marked(question):
    return [question.words[place] for place in question.keywords]


def test_a_feature_is_asked_of_the_only_thing_that_has_the_other():
    colors, shapes = every("color"), every("shape")
    assert {text: each.answer for text, each in colors.items()} == {
        "what color is the circle": "red",
        "what color is the square": "blue",
        "what color is the cross": "blue",
    }
    assert [each.answer for each in shapes.values()] == ["circle"]
    (asked,) = shapes.values()
    assert asked.words == ("what", "shape", "is", "the", "red", "thing")
    assert asked.boxes == (CIRCLE,)
    assert marked(asked) == ["shape", "red"]


def test_the_ends_of_a_scene():
    ends = every("end")
    assert len(ends) == 8
    for word, box in [("leftmost", 0), ("highest", 0), ("rightmost", 2), ("lowest", 2)]:
        color, shape = (ends[f"what {what} is the {word} thing"] for what in ("color", "shape"))
        assert (color.answer, shape.answer) == (SCENE[box].color, SCENE[box].shape)
        assert color.boxes == shape.boxes == (SCENE[box].box,)
        assert marked(shape) == ["shape", word]


def test_what_is_beside_a_thing_is_decided_by_both():
    asked = every("beside")["what shape is the thing left of the blue square"]
    assert asked.answer == "circle"
    assert asked.boxes == (CIRCLE, SQUARE)
    assert marked(asked) == ["shape", "left", "blue", "square"]
    # Two things are right of the circle, and none is left of it.
    assert not [text for text in every("beside") if text.endswith("right of the red circle")]
    assert not [text for text in every("beside") if text.endswith("left of the red circle")]


def test_whether_it_is_there_and_in_which_order():
    exists, order = every("exists"), every("order")
    assert exists["is there a red circle"].boxes == (CIRCLE,)
    # Of a color and a shape that are there, each in another thing.
    assert {text for text, each in exists.items() if each.answer == "no"} <= {
        "is there a red square",
        "is there a red cross",
        "is there a blue circle",
    }
    assert all(not each.boxes for each in exists.values() if each.answer == "no")
    asked = order["is the blue cross below the red circle"]
    assert (asked.answer, asked.boxes) == ("yes", (CROSS, CIRCLE))
    assert marked(asked) == ["blue", "cross", "below", "red", "circle"]
    assert order["is the blue cross left of the red circle"].answer == "no"


def test_things_that_are_almost_level_are_not_compared():
    level = (SCENE[0]._replace(box=(18, 2, 38, 22)), SCENE[1]._replace(box=(20, 40, 40, 60)))
    rng = np.random.default_rng(1)
    drawn = [ask(level, kind, "train", rng) for kind in ("end", "beside", "order") * 60]
    words = {word for each in drawn if each is not None for word in each.words}
    assert words.isdisjoint({"above", "below", "highest", "lowest"})
    assert {"left", "rightmost"} <= words


def seen(pixels, box):
    """Return the color nearest to that in the middle of a box, and the share that it covers."""
    top, left, bottom, right = box
    part = pixels[top:bottom, left:right].astype(float)
    middle = part[part.shape[0] // 2, part.shape[1] // 2]
    name = min(COLORS, key=lambda color: np.abs(middle - COLORS[color]).sum())
    return name, (np.abs(part - middle).sum(-1) < 90).mean()


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_pixels_in_its_box_are_the_answer(split):
    covered = {"circle": 0.785, "square": 1.0, "triangle": 0.5, "diamond": 0.5, "cross": 0.51}
    checked = 0
    for picture in TASK.pictures(split):
        assert len({asked.words for asked in picture.questions}) == len(picture.questions) == 8
        for asked in picture.questions:
            if asked.answer in COLORS or asked.answer in SHAPES:
                color, share = seen(picture.pixels, asked.boxes[0])
                checked += 1
                if asked.answer in COLORS:
                    assert color == asked.answer
                else:
                    assert abs(share - covered[asked.answer]) < 0.12
    assert checked > 60


def test_some_pairs_are_only_in_the_test_split():
    new = set(new_pairs())
    assert len(new) == len({shape for _, shape in new}) == len({color for color, _ in new}) == 5
    drawn = {
        split: {words for each in TASK.asked(split) for words in pairwise(each.words)}
        for split in ("train", "validation", "test")
    }
    assert new.isdisjoint(drawn["train"] | drawn["validation"])
    assert new <= drawn["test"]
    for split in ("train", "test"):
        for each in TASK.asked(split):
            if each.words[:3] == ("is", "there", "a"):
                assert each.is_new == (each.answer == "yes" and each.words[3:] in new)
                assert not (each.is_new and split == "train")


def test_rows_hold_the_questions_and_their_truth():
    bucket = TASK.load()["test"][0]
    assert bucket["image"].shape == (40, 64, 64, 3)
    for row, picture in enumerate(TASK.pictures("test")):
        for place, asked in enumerate(picture.questions):
            numbers = bucket["question"][row, place]
            assert TASK.tokenizer.numbers(asked.words) == numbers[numbers > 0].tolist()
            assert TASK.answers[bucket["label"][row, place]] == asked.answer
            assert np.flatnonzero(bucket["keyword"][row, place]).tolist() == list(asked.keywords)
            boxes = bucket["box"][row, place]
            assert boxes[boxes.any(-1)].tolist() == [list(map(float, box)) for box in asked.boxes]
    prepared = TASK.prepare(bucket)
    assert float(prepared["image"].max()) <= 1
    np.testing.assert_allclose(prepared["box"] * 64, bucket["box"], atol=1e-4)


def test_all_kinds_of_questions_are_drawn_again_by_the_same_seed():
    again = VisualQuestions(train=60, validation=3, test=40)
    other = VisualQuestions(train=60, validation=3, test=40, seed=1)
    assert len(KINDS) == 6
    assert TASK.asked("train") == again.asked("train") != other.asked("train")
    starts = {each.words[:2] for each in TASK.asked("train")}
    assert starts == {("what", "color"), ("what", "shape"), ("is", "there"), ("is", "the")}


def test_a_guess_without_the_picture_takes_the_most_frequent_answer():
    def question(text, answer):
        return Question(tuple(text.split()), answer)

    known = [question("is it red", "no")] * 2 + [question("is it red", "yes")]
    known += [question("is it", "yes")] * 5
    asked = [question("is it red", "no"), question("is it", "yes"), question("is it blue", "yes")]
    assert question_only(known, asked) == 1.0
    assert question_only(known, [question("what is it", "no"), question("is it red", "yes")]) == 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"side": 48}, "side=48 must be at least 64, so that five shapes have room"),
        ({"things": (1, 3)}, r"things=\(1, 3\) must be two numbers from 2 to 5, the lower first"),
        ({"questions": 0}, "questions=0 must be at least 1"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        VisualQuestions(**settings)


def test_a_split_that_does_not_exist():
    with pytest.raises(ValueError, match="split='dev' is not one of train, validation, test"):
        TASK.pictures("dev")


def write_own(folder, lines, boxes=True):
    for number in range(12):
        pixels = np.full((20, 40, 3), 200, np.uint8)
        pixels[5:15, 10 + number : 20 + number] = (255, 0, 0)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    header = "image\tquestion\tanswer" + "\tboxes" * boxes
    (folder / "own.tsv").write_text("\n".join([header, *lines]) + "\n")
    return folder / "own.tsv"


def test_own_questions_are_read_with_their_boxes(tmp_path):
    lines = [f"{n}.png\tWhat color is it?\tRed\t5,{10 + n},15,{20 + n}" for n in range(12)]
    path = write_own(tmp_path, [*lines, "3.png\tIs it there?\tyes\t"])
    task = VisualQuestions(name="tsv", path=path, side=16, validation=1, test=1)
    assert [len(task.pictures(split)) for split in ("train", "validation", "test")] == [10, 1, 1]
    every = [p for split in ("train", "validation", "test") for p in task.pictures(split)]
    (two,) = [picture for picture in every if len(picture.questions) == 2]
    first, second = two.questions
    assert first == Question(("what", "color", "is", "it"), "red", ((4, 5, 12, 9),))
    assert (second.answer, second.boxes) == ("yes", ())
    assert two.pixels.shape == (16, 16, 3)
    assert two.pixels[8, 7].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "x.png\tis it\tno\t",
            r"own.tsv, line 2: there is no image .*x.png; name it from the fold",
        ),
        ("own.tsv\tis it\tno\t", "own.tsv, line 2: .*own.tsv cannot be read as an image"),
        ("0.png\t?\tno\t", "own.tsv, line 2: the question has no words"),
        ("0.png\tis it\t\t", "own.tsv, line 2: the answer is empty"),
        ("0.png\tis it\tno\t0,0,30,9", "line 2: '0,0,30,9' is no box in an image of 20 by 40 pix"),
        ("0.png\tis it\tno\t" + "0,0,9,9 " * 3, "line 2: 3 boxes; give 2 at most"),
    ],
)
def test_own_questions_that_do_not_fit(tmp_path, line, message):
    task = VisualQuestions(name="tsv", path=write_own(tmp_path, [line]))
    with pytest.raises(ValueError, match=message):
        task.load()


def test_own_questions_need_a_file():
    with pytest.raises(
        ValueError, match=r"--task.name tsv --task.path questions.tsv reads your own"
    ):
        VisualQuestions(name="tsv")
    with pytest.raises(ValueError, match=r"name='shapes' and path=x.tsv do not fit together"):
        VisualQuestions(path=Path("x.tsv"))
    with pytest.raises(
        FileNotFoundError, match=r"there is no file .*nowhere.tsv; --task.path names"
    ):
        VisualQuestions(name="tsv", path=Path("nowhere.tsv")).load()


def easy_vqa_files():
    """Return a tiny easy-VQA as the files of a wheel, and the digests of its arrays."""
    files, digests = {}, {}
    for part, count in (("train", 3), ("test", 2)):
        pixels = np.arange(count * 64 * 64 * 3).reshape(count, 64, 64, 3).astype(np.uint8)
        folder = f"easy_vqa/data/{part}"
        for number, picture in enumerate(pixels):
            png = io.BytesIO()
            Image.fromarray(picture).save(png, "png")
            files[f"{folder}/images/{number}.png"] = png.getvalue()
        asked = [["is a red shape present?", "yes", n] for n in range(count)]
        files[f"{folder}/questions.json"] = json.dumps(asked).encode()
        digests[f"{part}_images"] = hashlib.sha256(pixels.tobytes()).hexdigest()
        content = files[f"{folder}/questions.json"]
        digests[f"{part}_questions"] = hashlib.sha256(content).hexdigest()
    return files, digests


def test_easy_vqa_is_read_from_its_wheel_and_kept(registry, own_folders, monkeypatch):
    files, digests = easy_vqa_files()
    monkeypatch.setattr(easy_vqa, "EASY_VQA", registry.add(files))
    monkeypatch.setattr(easy_vqa, "DIGESTS", digests)
    monkeypatch.setattr(easy_vqa, "_PICTURES", {"train": 3, "test": 2})
    task = VisualQuestions(name="easy_vqa", validation=1)
    assert [len(task.pictures(split)) for split in ("train", "validation", "test")] == [2, 1, 2]
    words = ("is", "a", "red", "shape", "present")
    assert task.asked("test") == [Question(words, "yes")] * 2
    registry.path.unlink()
    assert easy_vqa.read_easy_vqa()["test"][1].questions == (Question(words, "yes"),)
    cache = own_folders / "cache" / "easy-vqa.npz"
    content = cache.read_bytes()
    cache.write_bytes(content[:-9])
    with (
        pytest.warns(UserWarning, match=r"easy-vqa.npz is damaged.* It is fetched again"),
        pytest.raises(
            FileNotFoundError, match=r"(?s)easy-VQA is not in the cache .*--task.name shapes"
        ),
    ):
        easy_vqa.read_easy_vqa()


def test_half_of_easy_vqa_is_mirrored_in_training():
    image = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3)).astype(np.uint8)
    batch = {"image": image, "box": np.zeros((16, 1, 2, 4), np.float32)}
    task = VisualQuestions(name="easy_vqa")
    plain = np.asarray(task.prepare(batch)["image"])
    np.testing.assert_allclose(plain * 255, image, atol=1e-4)
    trained = np.asarray(task.prepare(batch, jax.random.key(1))["image"])
    same = (trained == plain).all((1, 2, 3))
    np.testing.assert_array_equal(trained[~same], plain[~same][:, :, ::-1])
    assert 3 < same.sum() < 13
