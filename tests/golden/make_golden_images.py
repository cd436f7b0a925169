"""Write what transformers' image processors make of an image; `make golden` runs it."""

from pathlib import Path

import numpy as np
import PIL
import transformers
from images_cases import PREPROCESSING, picture


def main():
    arrays = {}
    for name, settings in PREPROCESSING.items():
        # The processors that work with Pillow, not those of torchvision.
        processor = getattr(transformers, f"{settings['image_processor_type']}Pil")(**settings)
        (pixels,) = processor(picture(), return_tensors="np")["pixel_values"]
        arrays[name] = np.moveaxis(pixels, 0, -1).astype(np.float32)
    versions = [f"transformers {transformers.__version__}", f"pillow {PIL.__version__}"]
    np.savez_compressed(Path(__file__).parent / "images.npz", versions=versions, **arrays)
    print("images.npz")


if __name__ == "__main__":
    main()
