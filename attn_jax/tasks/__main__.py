"""``python -m attn_jax.tasks``: fetches MNIST, verifies it and says where it is."""

from attn_jax.tasks.mnist_sources import mnist_cache, read_mnist


def main() -> None:
    """Fetches and verifies MNIST, unless it is there already."""
    arrays = read_mnist()
    train, test = len(arrays["train_images"]), len(arrays["test_images"])
    print(f"MNIST: {train:,} training and {test:,} test images, verified, in {mnist_cache()}")


if __name__ == "__main__":
    main()
