"""Maps and attributions of fresh random language models, beside inseq, where it is installed."""

import numpy as np
import pytest

pytest.importorskip("inseq", reason="inseq 0.7.1 needs typeguard 2: an environment apart")

from inseq_check import check
from inseq_peers import PEERS, SPECIAL, theirs
from pretrained_cases import CASES
from pretrained_folder import write_folder
from pretrained_peers import random_model, saved


@pytest.mark.parametrize("name", PEERS)
def test_it_gives_what_inseq_gives(name, tmp_path):
    seed = int(np.random.default_rng().integers(2**31))
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    peer = random_model(PEERS[name], CASES[name].config | SPECIAL, seed)
    tokens = rng.integers(1, 50, 8).astype(np.int32)
    folder = write_folder(tmp_path / name, *saved(peer))
    check(folder, tokens, theirs(peer, tokens))
