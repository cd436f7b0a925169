"""The command `python -m attn_jax.tasks`, which fetches MNIST and verifies it."""

import sys

from attn_jax.tasks.mnist.sources import mnist_cache, read_mnist


def main() -> None:
    """Fetch MNIST unless it is in the cache, verify it, and print where it is."""
    try:
        arrays = read_mnist()
    except FileNotFoundError as error:
        sys.exit(str(error))
    train, test = len(arrays["train_images"]), len(arrays["test_images"])
    print(f"MNIST: {train:,} training and {test:,} test images, verified.")
    if mnist_cache().exists():
        print(f"Kept in {mnist_cache()}; no network is needed from now on.")


if __name__ == "__main__":
    main()
