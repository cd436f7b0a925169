"""Write the relevance that LXT, of the authors of AttnLRP, gives to the tokens of tiny checkpoints.

The weights are those of the golden files of the same names. LXT 2.1 needs transformers before 5, so
it runs in an environment of its own, with lxt, zennit, torch and transformers 4.52:
`python attn_lrp_peers.py`.
"""

import importlib.util
import json
import sys
from importlib.metadata import version
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch

FOLDER = Path(__file__).parent
PEERS = {"gpt2": "GPT2LMHeadModel", "llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM"}
TOKENS = np.array([[1, 9, 4, 7, 23, 9, 4], [1, 30, 8, 8, 41, 30, 8]])
TARGET = np.array([7, 41])


def patched(name):
    """Return the module of a family, with LXT's rules in it."""
    module = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
    importlib.import_module("lxt.efficient").monkey_patch(module)
    return module


def checkpoint(name):
    golden = np.load(FOLDER / f"pretrained_{name}.npz")
    model_class = getattr(patched(name), PEERS[name])
    config = json.loads(str(golden["config"]))
    model = model_class(model_class.config_class(**config, attn_implementation="eager")).eval()
    start = "tensor/"
    tensors = {
        key.removeprefix(start): torch.from_numpy(golden[key])
        for key in golden
        if key.startswith(start)
    }
    model.load_state_dict(tensors, strict=False)  # the head may be that of the embedding
    return model.double()


def relevance(model):
    """Return the logits of the last position, and the relevance of each feature of each token."""
    embedded = model.get_input_embeddings()(torch.from_numpy(TOKENS)).detach()
    if positions := getattr(model.base_model, "wpe", None):  # part of the embedding here
        embedded += positions.weight[: TOKENS.shape[1]].detach()
        positions.weight.data.zero_()
    embedded.requires_grad_()
    logits = model(inputs_embeds=embedded, use_cache=False).logits[:, -1]
    logits[range(len(TARGET)), TARGET].sum().backward()
    return logits.detach().numpy(), (embedded * embedded.grad).detach().numpy()


def main():
    if not importlib.util.find_spec("torchvision"):  # which LXT imports for its models of images
        models = MagicMock()
        sys.modules |= {"torchvision": MagicMock(models=models), "torchvision.models": models}
    values = {}
    for name in PEERS:
        values[f"{name}/logits"], values[f"{name}/relevance"] = relevance(checkpoint(name))
    np.savez_compressed(
        FOLDER / "attn_lrp.npz",
        versions=[f"{package} {version(package)}" for package in ("lxt", "torch", "transformers")],
        tokens=TOKENS,
        target=TARGET,
        **{key: x.astype(np.float32) for key, x in values.items()},
    )
    print("attn_lrp.npz")


if __name__ == "__main__":
    main()
