"""``python -m attn_jax.tasks``: fetches MNIST, verifies it and says where it is."""

import sys

from attn_jax.tasks.mnist.sources import mnist_cache, read_mnist


def main() -> None:
    """Fetches and verifies MNIST, unless it is there already."""
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
