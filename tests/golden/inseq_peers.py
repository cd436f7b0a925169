"""Write what inseq says of the tokens that a tiny checkpoint reads, as it writes.

The weights are those of the golden files of the same names. inseq 0.7.1 needs typeguard 2,
which the locks cannot admit on all Pythons: run `python inseq_peers.py` in an environment with it,
torch 2.13.0 and transformers 5.23.0. Its value zeroing does not work with transformers 5, whose
layers no longer return tuples.
"""

import json
from importlib.metadata import version
from pathlib import Path

import inseq
import numpy as np
import torch
import transformers
from inseq_check import READ
from tokenizers import Tokenizer, models, pre_tokenizers

FOLDER = Path(__file__).parent
PEERS = {"gpt2": "GPT2LMHeadModel", "llama": "LlamaForCausalLM"}
TOKENS = np.array([1, 9, 4, 7, 23, 9, 4, 41], np.int32)
SPECIAL = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 0)


def words(numbers):
    return [f"word{number:02d}" for number in numbers]


def tokenizer():
    vocabulary = {word: number for number, word in enumerate(words(range(50)))}
    rules = Tokenizer(models.WordLevel(vocabulary, unk_token="word00"))
    rules.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = dict.fromkeys(("pad_token", "bos_token", "eos_token", "unk_token"), "word00")
    return transformers.PreTrainedTokenizerFast(tokenizer_object=rules, **special)


def checkpoint(name):
    """Return a model of transformers with the weights of a golden file."""
    golden = np.load(FOLDER / f"pretrained_{name}.npz")
    model_class = getattr(transformers, PEERS[name])
    config = json.loads(str(golden["config"])) | SPECIAL
    model = model_class(model_class.config_class(**config, attn_implementation="eager")).eval()
    start = "tensor/"
    tensors = {
        key.removeprefix(start): torch.from_numpy(golden[key])
        for key in golden
        if key.startswith(start)
    }
    model.load_state_dict(tensors, strict=False)  # the head may be that of the embedding
    return model


def theirs(model, tokens):
    """Return the maps (layers, heads, written, read), and gradient × embedding of the logits.

    The second is (written, read, features); what comes later is zero in both.
    """

    def attribute(method, **arguments):
        peer = inseq.load_model(model, method, tokenizer=tokenizer())
        texts = " ".join(words(tokens[:READ])), " ".join(words(tokens))
        result = peer.attribute(*texts, show_progress=False, **arguments)
        values = result.sequence_attributions[0].target_attributions.numpy()
        return np.nan_to_num(values[:-1])  # the last token has nothing to write

    return {
        "maps": attribute("attention").transpose(2, 3, 1, 0),
        "products": attribute("input_x_gradient", attributed_fn="logit").swapaxes(0, 1),
    }


def main():
    values = {
        f"{name}/{key}": array
        for name in PEERS
        for key, array in theirs(checkpoint(name), TOKENS).items()
    }
    packages = ("inseq", "torch", "transformers")
    np.savez_compressed(
        FOLDER / "inseq.npz",
        versions=[f"{package} {version(package)}" for package in packages],
        tokens=TOKENS,
        **values,
    )
    print("inseq.npz")


if __name__ == "__main__":
    main()
