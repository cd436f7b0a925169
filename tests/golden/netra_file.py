"""A Keras file of Netra's layers with tiny random weights."""

import io
import json
import zipfile

import h5py
import numpy as np

EMBEDDING, FEATURES, LETTERS, SIGNS = 3, 5, 28, 81
CLASSES = ("InputLayer", "InputLayer", "Embedding", "Embedding", "Bidirectional", "GRU")
CLASSES += ("TimeDistributed", "AdditiveAttention", "Concatenate", "Dropout", "Dense")
GRU = {
    "vars/0": (EMBEDDING, 3 * FEATURES),
    "vars/1": (FEATURES, 3 * FEATURES),
    "vars/2": (2, 3 * FEATURES),
}
CELLS = ("bidirectional/forward_layer/cell", "bidirectional/backward_layer/cell", "gru/cell")
SHAPES = {
    "embedding/vars/0": (LETTERS, EMBEDDING),
    "embedding_1/vars/0": (SIGNS, EMBEDDING),
    **{f"{cell}/{name}": shape for cell in CELLS for name, shape in GRU.items()},
    "time_distributed/layer/vars/0": (2 * FEATURES, FEATURES),
    "time_distributed/layer/vars/1": (FEATURES,),
    "additive_attention/vars/0": (FEATURES,),
    "dense/vars/0": (2 * FEATURES, SIGNS),
    "dense/vars/1": (SIGNS,),
}


def random_arrays():
    """Return weights by the names of Keras's layers."""
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def write_keras(path, arrays, classes=CLASSES):
    """Write a file as Keras 3 does: a configuration, and the weights with the optimizer's."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for name, array in arrays.items():
            file[f"layers/{name}"] = array
        file["optimizer/vars/0"] = np.int64(7)
    layers = [{"class_name": name} for name in classes]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": layers}}))
        archive.writestr("model.weights.h5", content.getvalue())
    return path
