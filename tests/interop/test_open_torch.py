"""Opening a PyTorch model where PyTorch is not installed."""

import importlib.util

import pytest

from attn_jax import interop


@pytest.mark.skipif(
    importlib.util.find_spec("torch") is not None, reason="PyTorch is in this environment"
)
def test_a_missing_package_names_its_install_line():
    with pytest.raises(ImportError, match=r"the package torch: pip install 'attn-jax\[torch\]'"):
        interop.open_torch(object())
