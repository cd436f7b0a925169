"""Write what ONNX Runtime computes with the real DINOv2.

    PYTHONPATH=. python tests/pretrained/make_real_dinov2.py

It needs this library and the packages onnx and onnxruntime. The file's own program is run, with the
attention maps and the last states among its outputs. To keep the file small, only every 16th row of
the last layer's maps is kept, in half precision, and every 16th token.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from PIL import Image, ImageDraw

from attn_jax.pretrained.sources import available, fetched

FOLDER, NAME = Path(__file__).parent, "dinov2-small"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def picture():
    """Return a face on a meadow, 224 × 224."""
    image = Image.new("RGB", (224, 224), (120, 170, 220))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 150, 224, 224), fill=(70, 130, 60))
    draw.ellipse((70, 70, 160, 180), fill=(200, 60, 40))
    draw.ellipse((95, 95, 110, 110), fill=(255, 255, 255))
    draw.ellipse((125, 95, 140, 110), fill=(255, 255, 255))
    return np.array(image)


def main():
    source = available()[NAME]
    (file,) = source.digests
    model = onnx.load(fetched(source) / file)
    maps = [f"/backbone/encoder/layer.{i}/attention/attention/Softmax_output_0" for i in range(12)]
    norms = [n.output[0] for n in model.graph.node if n.name.startswith("/backbone/layernorm")]
    for name in (*maps, norms[-1]):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    image = picture()
    pixels = ((image / 255 - MEAN) / STD).astype(np.float32).transpose(2, 0, 1)[None]
    *attentions, states = session.run([*maps, norms[-1]], {"input_image": pixels})
    np.savez_compressed(
        FOLDER / "real_dinov2.npz",
        versions=[f"onnxruntime {onnxruntime.__version__}", f"onnx {onnx.__version__}"],
        source=f"{source.hub_name}, from {source.wheel}, {source.license}",
        image=image,
        output=states[:, ::16],
        cls_attention=np.stack([x[0, :, 0] for x in attentions[::4]]),
        layers=range(0, 12, 4),
        last_attention=attentions[-1][:, :, ::16].astype(np.float16),
    )


if __name__ == "__main__":
    main()
