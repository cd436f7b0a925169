"""Maps and attributions of language models, against what inseq computed with the same weights."""

from pathlib import Path

import numpy as np
import pytest
from inseq_check import check
from pretrained_folder import write_golden

GOLDEN = np.load(Path(__file__).parent / "inseq.npz")


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_it_gives_what_inseq_gave(name, tmp_path):
    expected = {key: GOLDEN[f"{name}/{key}"] for key in ("maps", "products")}
    check(write_golden(name, tmp_path), GOLDEN["tokens"], expected)
