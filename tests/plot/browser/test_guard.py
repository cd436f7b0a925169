"""The other tests of this folder hear all that a page does beside showing itself."""

import pytest


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("console.log('a word')", "log: a word"),
        ("console.error('a word')", "error: a word"),
        ("throw Error('a slip')", "uncaught: a slip"),
        ("Promise.reject(Error('a slip'))", "uncaught: a slip"),
        ("fetch('http://127.0.0.1:9/x').catch(() => 0)", "request: http://127.0.0.1:9/x"),
        ("new Image().src = 'http://127.0.0.1:9/x'", "request: http://127.0.0.1:9/x"),
        ("new WebSocket('ws://127.0.0.1:9/x').onerror = () => 0", "websocket: ws://127.0.0.1:9/x"),
        ("alert('a word')", "dialog: a word"),
    ],
)
def test_a_page_cannot_do_it_unheard(page, heard, source, told):
    page.set_content(f"<script>{source}</script>")
    page.wait_for_timeout(200)
    assert any(line.startswith(told) for line in heard)
    heard.clear()


def test_axe_hears_a_picture_without_words(page, violations):
    page.set_content('<html lang="en"><title>t</title><main><h1>t</h1><img src="data:,"></main>')
    assert any(line.startswith("image-alt") for line in violations(page))
