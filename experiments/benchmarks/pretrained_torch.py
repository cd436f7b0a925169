"""The PyTorch side of the benchmark `pretrained`, which the peers' Python runs at a pipe's end."""

import json
import sys
import time

import torch  # pyright: ignore[reportMissingImports]
import transformers  # pyright: ignore[reportMissingImports]


def main() -> None:
    """Load the model that the first line names, then run it once for each further line."""
    first = json.loads(sys.stdin.readline())
    tokens = torch.tensor(first["tokens"])
    model = transformers.AutoModel.from_pretrained(first["folder"], attn_implementation="eager")
    model.eval()
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        start = time.perf_counter()
        with torch.inference_mode():
            result = model(tokens, output_attentions=question["run"] != "forward")
        answer = {"seconds": time.perf_counter() - start}
        if question.get("probe"):
            answer["output"] = result[0][0].tolist()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
