"""Keeps the paths that tests name apart from the user's own."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def known_paths(tmp_path_factory):
    """An empty list of known paths, which all tests of a worker share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
