"""The verbs of circuits, against TransformerLens on the same weights."""

from pathlib import Path

import numpy as np
import pytest
from circuits_lenses_check import CHECKS, close
from pretrained_folder import golden_arrays, write_golden

from attn_jax import circuits, pretrained


@pytest.fixture(scope="module", params=["gpt2", "llama", "gpt2-scanned"])
def pair(request, tmp_path_factory):
    """A checkpoint, and the golden values."""
    name, _, scanned = request.param.partition("-")
    folder = write_golden(name, tmp_path_factory.mktemp(name))
    golden = np.load(Path(__file__).parent / f"circuits_lenses_{name}.npz")
    return pretrained.load(folder, scan=bool(scanned)), golden


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_verb_gives_what_transformerlens_gave(pair, check):
    check(*pair)


@pytest.mark.parametrize("name", ["bert", "t5", "whisper"])
def test_shares_add_up_in_other_families(name, tmp_path):
    """Normalized after each part, without biases, and with cross-attention."""
    model = pretrained.load(write_golden(name, tmp_path))
    shares = circuits.direct_logit_attribution(
        model, golden_arrays(name, "input"), lambda out: (out[..., 3] - out[..., 5]).sum()
    )
    tables = (shares.heads, shares.mlps, shares.embeddings)
    total = sum(float(np.asarray(table).sum()) for table in tables) + float(shares.bias)
    close(total, float(shares.metric))
