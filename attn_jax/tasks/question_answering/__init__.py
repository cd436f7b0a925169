"""Questions about stories, with the sentences that answer them."""

from attn_jax.tasks.question_answering.task import QuestionAnswering

__all__ = ["QuestionAnswering"]
