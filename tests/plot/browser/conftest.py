"""Pages in headless Chromium: whatever a test does there, nothing may be asked or logged."""

import os
import shutil

import pytest

# As root Chromium has no sandbox; the others keep it from asking for hosts and updates of its own.
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
FLAGS += ("--disable-background-networking", "--disable-component-update", "--disable-sync")
HOW = "install it (apt-get install chromium), or name another by ATTN_JAX_CHROMIUM=/path/to/it"


@pytest.fixture(scope="module")
def browser():
    """One browser for a file of tests: its event loop must not outlive them in a worker."""
    api = pytest.importorskip("playwright.sync_api", reason="`make lint` installs playwright")
    # A path that is named must be right: where it is set, these tests cannot be skipped.
    path = os.environ.get("ATTN_JAX_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip(f"no Chromium was found; {HOW}")
    with api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=[*FLAGS])
        yield chromium
        chromium.close()


@pytest.fixture
def heard():
    """What a page logged, threw, asked of the network or popped up."""
    return []


@pytest.fixture
def page(browser, heard):
    """A tab of which nothing may be heard until the end of the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    tab = context.new_page()
    tab.set_default_timeout(10_000)
    tab.on("console", lambda message: heard.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: heard.append(f"uncaught: {error}"))
    tab.on("request", lambda request: _note_request(heard, request))
    tab.on("websocket", lambda socket: heard.append(f"websocket: {socket.url}"))
    tab.on("popup", lambda popup: heard.append(f"popup: {popup.url}"))
    tab.on("dialog", lambda dialog: (heard.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    yield tab
    context.close()
    assert not heard


def _note_request(heard, request):
    inside = request.url.startswith(("data:", "blob:"))
    if not inside and not (request.is_navigation_request() and request.url.startswith("file:")):
        heard.append(f"request: {request.url}")


@pytest.fixture
def violations():
    """Runs axe-core on a page, and returns a line for each violation."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def run(page):
        found = axe.run(page).response["violations"]
        return [f"{v['id']}: {v['help']}: {n['html'][:200]}" for v in found for n in v["nodes"]]

    return run
