"""A TFDS builder of MNIST, or of any idx files, that needs neither TensorFlow nor the web.

Importing this module imports TensorFlow Datasets, which takes seconds. The other modules of this
package import it only where they use it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from attn_jax.tasks.images import read_folder, read_folder_classes
from attn_jax.tasks.mnist.sources import read_mnist

__all__ = ["AttnMnist"]


class AttnMnist(tfds.core.GeneratorBasedBuilder):
    """MNIST in its original order, stored as plain bytes in ArrayRecord files.

    The stock `mnist` builder needs TensorFlow to prepare itself, and shuffles; this one needs
    neither TensorFlow nor the web, and its features have the same names and shapes.

    Args:
        folder: A folder with four idx files to use instead of MNIST.
        **options: The options of every builder, such as `data_dir`.

    Example:
        >>> builder = AttnMnist(data_dir="data")  # doctest: +SKIP
        >>> builder.download_and_prepare()  # doctest: +SKIP
        >>> builder.as_data_source("train")[0]["label"]  # doctest: +SKIP
        5
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "The original images and labels, in order."}

    def __init__(self, *, folder: Path | None = None, **options: Any) -> None:
        self._folder = folder
        super().__init__(**{"file_format": "array_record", **options})

    def _info(self) -> tfds.core.DatasetInfo:
        classes = read_folder_classes(self._folder) if self._folder else 10
        features = {
            "image": tfds.features.Tensor(shape=(28, 28, 1), dtype=np.uint8),
            "label": tfds.features.ClassLabel(num_classes=classes),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Handwritten digits, byte for byte, in the order of the original files.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            citation="LeCun, Cortes and Burges, The MNIST database of handwritten digits.",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager  # The data comes from this library's own sources.
        arrays = read_folder(self._folder) if self._folder else read_mnist()
        return {split: self._generate_examples(arrays, split) for split in ("train", "test")}

    def _generate_examples(
        self, arrays: dict[str, np.ndarray], split: str
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield index, {"image": image[:, :, None], "label": label}
