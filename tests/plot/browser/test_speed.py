"""A large page opens soon and answers at once; the bounds are several times what is asked for."""

import numpy as np
import pytest

from attn_jax import plot

pytest.importorskip("playwright.sync_api")
LAYERS, HEADS, TOKENS = 12, 12, 512
# Asked for: 2 seconds and 50 milliseconds, on a machine that does nothing else.
OPEN_WITHIN, ANSWER_WITHIN = 10.0, 250.0

# Points at one place after another, cells of a canvas or items of a list, and takes the median of
# the milliseconds from the event until the answer has been painted.
ANSWERS = """async (selector) => {
  const element = document.querySelector(selector);
  const {x, y, width, height} = element.getBoundingClientRect();
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const times = [];
  for (let i = 0; i < 31; i++) {
    const [clientX, clientY] = [x + width * (0.3 + i / 50), y + height * (0.3 + i / 50)];
    const target = element.children[16 * i] ?? element;
    await painted();
    const start = performance.now();
    for (const type of ["pointermove", "pointerover"])
      target.dispatchEvent(new PointerEvent(type, {clientX, clientY, bubbles: true}));
    await painted();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[15];
}"""


@pytest.fixture(scope="module")
def large():
    """Maps of 12 layers, 12 heads and 512 tokens, with a mean entropy of about 3 nats."""
    scores = np.random.default_rng(0).standard_normal((LAYERS, HEADS, TOKENS, TOKENS), np.float32)
    weights = np.exp(2.6 * scores)
    weights /= weights.sum(-1, keepdims=True)
    return plot.viewer(weights, tokens=[f"w{i}" for i in range(TOKENS)])


def test_144_maps_of_512_tokens_open_soon_and_answer_at_once(open_page, page, large, address):
    address(large)
    open_page(large)
    # The time since the navigation began, when the first map has been drawn.
    opened = page.evaluate("performance.now()") / 1000
    answers = {"canvas.over": page.evaluate(ANSWERS, "canvas.over")}
    page.get_by_role("tab", name="Tokens").click()
    page.wait_for_selector("html[data-ready=tokens]", state="attached")
    answers[".picker"] = page.evaluate(ANSWERS, ".picker")
    print(f"opened in {opened:.2f} s; answered in {answers} ms")
    assert opened < OPEN_WITHIN
    assert max(answers.values()) < ANSWER_WITHIN
