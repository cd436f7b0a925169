import numpy as np
import pytest

from attn_jax.tasks import MnistBags, bags


class FewDigits:
    """Digits of which every pixel says which one it is and where it came from."""

    def load(self):
        def split(count, mark):
            label = (np.arange(count) % 10).astype(np.int32)
            image = np.full((count, 28, 28), 0, np.uint8) + (label + mark)[:, None, None]
            return [{"image": image.astype(np.uint8), "label": label}]

        return {"train": split(83, 100), "validation": split(47, 150), "test": split(61, 200)}


TASK = MnistBags(train=53, validation=17, test=29, mean_size=7.0, spread=2.0)
MARKS = {"train": 100, "validation": 150, "test": 200}


@pytest.fixture(autouse=True)
def few_digits(monkeypatch):
    monkeypatch.setattr(bags, "Mnist", lambda folder: FewDigits())


@pytest.mark.parametrize("split", list(MARKS))
def test_a_bag_is_positive_if_it_holds_the_digit(split):
    (bucket,) = TASK.load()[split]
    assert bucket["image"].shape == (getattr(TASK, split), 15, 28, 28)
    for image, present, instance, label in zip(*bucket.values(), strict=True):
        assert (np.diff(present.astype(int)) <= 0).all()
        assert present.any()
        digits = image[:, 0, 0].astype(int) - MARKS[split]
        assert (image[~present] == 0).all()
        assert ((digits[present] >= 0) & (digits[present] <= 9)).all()
        assert instance.tolist() == [p and d == 9 for p, d in zip(present, digits, strict=True)]
        assert label == int(instance.any())


def test_sizes_vary_about_the_mean():
    (bucket,) = MnistBags(train=400).load()["train"]
    sizes = bucket["present"].sum(-1)
    assert sizes.mean() == pytest.approx(10, abs=0.4)
    assert sizes.std() == pytest.approx(2, abs=0.3)
    # A bag of ten lacks a nine with probability 0.9 ** 10.
    assert bucket["label"].mean() == pytest.approx(1 - 0.9**10, abs=0.1)


def test_bags_follow_from_the_seed():
    one, same, other = (MnistBags(train=5, seed=s).load()["train"][0] for s in (1, 1, 2))
    np.testing.assert_array_equal(one["image"], same["image"])
    assert (one["image"] != other["image"]).any()


def test_images_are_scaled():
    batch = TASK.load()["test"][0]
    image = TASK.prepare(batch)["image"]
    np.testing.assert_allclose(image, batch["image"] / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": 0}, "train=0 must be at least 1"),
        ({"digit": 10}, "digit=10 must be from 0 to 9"),
        ({"spread": -1.0}, "spread=-1.0 must be at least 0"),
        ({"mean_size": 0.5}, "mean_size=0.5 must be at least 1"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
    ],
)
def test_settings_that_no_bag_can_have(settings, message):
    with pytest.raises(ValueError, match=message):
        MnistBags(**settings)
