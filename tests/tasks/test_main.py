import pytest

from attn_jax.tasks.__main__ import main


@pytest.mark.usefixtures("real_mnist")
def test_says_what_there_is_and_where(capsys):
    main()
    said = capsys.readouterr().out
    assert "60,000 training and 10,000 test images, verified" in said
    assert "mnist.npz" in said


@pytest.mark.usefixtures("own_folders")
def test_says_what_was_tried_when_there_is_nothing():
    with pytest.raises(SystemExit, match="MNIST was not found"):
        main()
