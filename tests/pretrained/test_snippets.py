"""The snippets that open checkpoints; `make pretrained` runs them with real weights."""

import os
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

pytestmark = [
    pytest.mark.skipif(
        "ATTN_JAX_REAL_WEIGHTS" not in os.environ,
        reason="weights are downloaded only by make pretrained",
    ),
    pytest.mark.usefixtures("unchecked"),
]

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
SNIPPETS = {
    f"{page}:{number}": block
    for page in ("README.md", "AGENTS.md", "docs/pretrained.md")
    for number, block in enumerate(BLOCK.findall((ROOT / page).read_text("utf-8")))
    # Those of a folder that the reader has are shown with the families of its kind.
    if 'pretrained.load("' in block and "path/to" not in block
}


@pytest.mark.parametrize("name", SNIPPETS)
def test_the_snippet_runs_when_pasted_alone(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = pytest.importorskip("PIL.Image", reason="pillow comes with the extra hub")
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    image.fromarray(pixels).save("photo.jpg")
    shutil.copy(ROOT / "notebooks/speech/sentence.wav", "speech.wav")
    with jax.numpy_rank_promotion("allow"):  # as a reader's session does
        exec(compile(SNIPPETS[name], name, "exec"), {"__name__": "__main__"})
