"""The PyTorch side of the benchmark `pretrained`, which the peers' Python runs at a pipe's end."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
import transformers  # pyright: ignore[reportMissingImports]


def load(folder: str, kind: str) -> Any:
    """Load the model of a folder; one without weights gets random ones, which are saved there."""
    names = {"encoder": "AutoModel"}
    auto = getattr(transformers, names.get(kind, "AutoModelForCausalLM"))
    if not (Path(folder) / "model.safetensors").is_file():
        torch.manual_seed(0)
        auto.from_config(transformers.AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    return auto.from_pretrained(folder, attn_implementation="eager").eval()


def lens(model: Any, folder: str) -> Any:
    """Wrap a model for TransformerLens."""
    from transformer_lens.model_bridge import (  # pyright: ignore[reportMissingImports]
        TransformerBridge,
    )

    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=f"{folder}/tokenizer.json", bos_token="a", eos_token="a", pad_token="a"
    )
    tokenizer.save_pretrained(f"{folder}/tokenizer")
    tokenizer = transformers.AutoTokenizer.from_pretrained(f"{folder}/tokenizer")
    return TransformerBridge.boot_transformers(
        "gpt2", hf_model=model, tokenizer=tokenizer, device="cpu"
    )


def main() -> None:
    """Load the model that the first line names, then run it once for each further line."""
    first = json.loads(sys.stdin.readline())
    tokens, kind = torch.tensor(first["tokens"]), first["peer"]
    model = load(first["folder"], kind)
    bridge = lens(model, first["folder"]) if kind == "lens" else None
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        start = time.perf_counter()
        with torch.inference_mode():
            if bridge is None:
                result = model(tokens, output_attentions=question["run"] != "forward")
            else:
                result = bridge.run_with_cache(tokens)
        answer: dict[str, Any] = {"seconds": time.perf_counter() - start}
        if question.get("probe"):
            answer["output"] = result[0][0, -1].tolist()
        if question.get("save"):
            np.savez(question["save"], **{name: x.numpy() for name, x in result[1].items()})
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    # TransformerLens prints, and the answers alone belong on the pipe.
    main()
