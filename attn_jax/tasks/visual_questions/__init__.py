"""Questions about pictures, with the places to look and the words that decide, if known."""

from attn_jax.tasks.visual_questions.task import VisualQuestions

__all__ = ["VisualQuestions"]
