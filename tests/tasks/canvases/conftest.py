import numpy as np
import pytest


class BlockDigits:
    """Digits that are gray blocks: d is 10 + d pixels high, 8 wide and of the gray 200 + d."""

    def load(self):
        def split(count):
            label = (np.arange(count) % 10).astype(np.int32)
            image = np.zeros((count, 28, 28), np.uint8)
            for one, digit in zip(image, label, strict=True):
                one[4 : 14 + digit, 9:17] = 200 + digit
            return [{"image": image, "label": label}]

        return {"train": split(40), "validation": split(30), "test": split(30)}


@pytest.fixture
def block_digits(monkeypatch):
    for module in ("segmentation", "detection"):
        name = f"attn_jax.tasks.canvases.{module}"
        monkeypatch.setattr(f"{name}.Mnist", lambda folder: BlockDigits())
        monkeypatch.setattr(f"{name}._load", __import__(name, fromlist="_load")._load.__wrapped__)
