"""Write what TransformerLens says of the verbs of circuits, on two tiny checkpoints.

`python circuits_lenses_peers.py` writes the golden files, with the weights of those of `gpt2` and
`llama`. `python circuits_lenses_peers.py FOLDER` reads files like these from a folder, which also
hold the texts, and writes there; `make parity` runs it so. It needs transformer_lens.
"""

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models
from transformer_lens import head_detector
from transformer_lens.model_bridge import TransformerBridge

FOLDER = Path(__file__).parent
PEERS = {"gpt2": "GPT2LMHeadModel", "llama": "LlamaForCausalLM"}
TEXTS = {
    "tokens": np.array([[1, 9, 4, 7, 23, 9, 4, 7, 23], [1, 30, 8, 8, 41, 30, 8, 8, 41]]),
    "corrupted": np.array([[1, 9, 12, 7, 23, 9, 4, 7, 23], [1, 30, 13, 8, 41, 30, 8, 8, 41]]),
    "difference": np.array([4, 9]),
}


def bridge(name, golden):
    """Return the checkpoint in TransformerLens, its normalizations' scales folded into weights."""
    model_class = getattr(transformers, PEERS[name])
    config = json.loads(str(golden["config"]))
    model = model_class(model_class.config_class(**config, attn_implementation="eager")).eval()
    start = "tensor/"
    tensors = {
        key.removeprefix(start): torch.from_numpy(golden[key])
        for key in golden
        if key.startswith(start)
    }
    model.load_state_dict(tensors, strict=False)  # the head may be that of the embedding
    rules = Tokenizer(models.WordLevel({str(i): i for i in range(50)}, unk_token="0"))
    special = dict.fromkeys(("unk_token", "bos_token", "eos_token", "pad_token"), "0")
    with tempfile.TemporaryDirectory() as folder:
        made = transformers.PreTrainedTokenizerFast(tokenizer_object=rules, **special)
        made.save_pretrained(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        peer = TransformerBridge.boot_transformers(name, hf_model=model, tokenizer=tokenizer)
    peer.enable_compatibility_mode(
        center_writing_weights=False, center_unembed=False, fold_value_biases=False
    )
    return peer


def shares(cache, peer, texts):
    """Return what each part adds to a difference of logits, at every position."""
    parts, labels = cache.get_full_resid_decomposition(expand_neurons=False, return_labels=True)
    right, wrong = map(int, texts["difference"])
    values = cache.logit_attrs(parts, tokens=right, incorrect_tokens=wrong).numpy()
    by_label = dict(zip(labels, values, strict=True))
    layers, heads = peer.cfg.n_layers, peer.cfg.n_heads
    return {
        "heads": [[by_label[f"L{i}H{j}"] for j in range(heads)] for i in range(layers)],
        "mlps": [by_label[f"{i}_mlp_out"] for i in range(layers)],
        "embeddings": sum(by_label[x] for x in ("embed", "pos_embed") if x in by_label),
    }


def similarities(cache, peer, texts):
    """Return the share of all attention that falls on the keys of each kind of head."""
    scores, tokens = {}, torch.from_numpy(texts["tokens"])
    for name in ("previous_token", "duplicate_token", "induction"):
        pattern_of = getattr(head_detector, f"get_{name}_head_detection_pattern")
        scores[name] = np.array(
            [
                [
                    np.mean(
                        [
                            head_detector.compute_head_attention_similarity_score(
                                cache[f"blocks.{i}.attn.hook_pattern"][n, j],
                                pattern_of(tokens[n : n + 1]).float(),
                                exclude_bos=False,
                                exclude_current_token=False,
                                error_measure="mul",
                            )
                            for n in range(len(tokens))
                        ]
                    )
                    for j in range(peer.cfg.n_heads)
                ]
                for i in range(peer.cfg.n_layers)
            ]
        )
    return scores


def difference(logits, texts):
    """Return the metric of ablation and patching, of the last position."""
    right, wrong = texts["difference"]
    return (logits[:, -1, right] - logits[:, -1, wrong]).mean().item()


def ablated(peer, texts):
    """Return the metric without each head, less that of the whole model."""
    tokens = torch.from_numpy(texts["tokens"])
    whole = difference(peer(tokens), texts)
    table = np.zeros((peer.cfg.n_layers, peer.cfg.n_heads))
    for layer, head in np.ndindex(table.shape):

        def edit(z, hook, head=head):
            z = z.clone()
            z[:, :, head] = 0
            return z

        hooks = [(f"blocks.{layer}.attn.hook_z", edit)]
        logits = peer.run_with_hooks(tokens, fwd_hooks=hooks)
        table[layer, head] = difference(logits, texts) - whole
    return table


def patched(peer, cache, texts):
    """Return the metric of the corrupted texts with each position of each layer as in the clean."""
    corrupted = torch.from_numpy(texts["corrupted"])
    table = np.zeros((peer.cfg.n_layers, corrupted.shape[1]))
    for layer, position in np.ndindex(table.shape):
        name = f"blocks.{layer}.hook_resid_pre"

        def edit(x, hook, name=name, position=position):
            x = x.clone()
            x[:, position] = cache[name][:, position]
            return x

        logits = peer.run_with_hooks(corrupted, fwd_hooks=[(name, edit)])
        table[layer, position] = difference(logits, texts)
    return table


def values_of(peer, texts):
    """Return everything that is compared."""
    with torch.no_grad():
        logits, cache = peer.run_with_cache(torch.from_numpy(texts["tokens"]))
        streams = cache.accumulated_resid(apply_ln=True)
        bias = 0 if peer.b_U is None else peer.b_U
        values = {
            "logits": logits,
            "lens": streams[1:] @ peer.W_U + bias,
            **{f"direct/{key}": x for key, x in shares(cache, peer, texts).items()},
            **{f"score/{key}": x for key, x in similarities(cache, peer, texts).items()},
            "ablation": ablated(peer, texts),
            "patching": patched(peer, cache, texts),
            **{f"composition/{kind}": peer.all_composition_scores(kind) for kind in "QKV"},
        }
    return {key: np.asarray(x, np.float32) for key, x in values.items()}


def main(folder=FOLDER):
    for name in PEERS:
        given = np.load(Path(folder, f"pretrained_{name}.npz"))
        texts = {key: given.get(key, x) for key, x in TEXTS.items()}
        np.savez_compressed(
            Path(folder, f"circuits_lenses_{name}.npz"),
            versions=[
                f"{package} {version(package)}"
                for package in ("transformer_lens", "torch", "transformers")
            ],
            **texts,
            **values_of(bridge(name, given), texts),
        )
        print(f"circuits_lenses_{name}.npz")


if __name__ == "__main__":
    main(*sys.argv[1:])
