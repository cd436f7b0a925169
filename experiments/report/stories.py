"""A drawing of stories, each sentence beside its share of every hop's attention."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from attn_jax.plot.colors import ATTENTION, INK, MUTED, RIGHT, TRUTH, WRONG
from attn_jax.tasks.question_answering.story import Story

_LINE = 0.19


def draw_stories(stories: Sequence[Story], answers: Sequence[str], weights: np.ndarray) -> Figure:
    """Draw stories beside each other, the latest sentence at the bottom.

    Args:
        stories: The stories.
        answers: The model's answers.
        weights: The attention to each sentence, (hops, stories, sentences), the last sentence last.

    Returns:
        The figure.
    """
    longest = max(len(story.sentences) for story in stories)
    figure = Figure(figsize=(3.4 * len(stories), _LINE * (longest + 4)), layout="constrained")
    axes = figure.subplots(1, len(stories), squeeze=False)[0]
    for number, (ax, story) in enumerate(zip(axes, stories, strict=True)):
        count = len(story.sentences)
        shares = weights[:, number, -count:]
        ax.set(xlim=(0, len(shares) + 9), ylim=(longest + 0.6, -3.6))
        ax.axis("off")
        color = RIGHT if answers[number] == story.answer else WRONG
        title = f"{' '.join(story.question)}?\n{story.answer}; the model says {answers[number]}"
        ax.text(0, -2.6, title, color=color, fontsize=8, va="center")
        for hop, row in enumerate(shares):
            ax.text(hop + 0.5, -0.9, str(hop + 1), fontsize=7, color=MUTED, ha="center")
            for place, share in enumerate(row):
                edge = TRUTH if place in story.facts else "none"
                box = {"facecolor": ATTENTION(float(share)), "edgecolor": edge, "linewidth": 1.4}
                ax.bar(hop + 0.5, 0.9, 0.9, bottom=place - 0.45, **box)
        for place, sentence in enumerate(story.sentences):
            is_fact = place in story.facts
            mark = f"{story.facts.index(place) + 1}: " if is_fact else ""
            color = TRUTH if is_fact else INK
            ax.text(
                len(shares) + 0.3,
                place,
                mark + " ".join(sentence),
                fontsize=7,
                color=color,
                va="center",
            )
    return figure
