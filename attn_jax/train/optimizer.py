"""The optimizer and its learning-rate schedule."""

import jax
import optax

from attn_jax.train.config import TrainConfig
from attn_jax.train.protocols import Params


def make_schedule(config: TrainConfig, total_steps: int) -> optax.Schedule:
    """Return the learning rate by step: a linear rise, then a cosine to zero or a constant.

    Args:
        config: The settings, of which `learning_rate`, `warmup` and `schedule` are used.
        total_steps: The number of steps of the whole run.

    Returns:
        A function from the number of steps taken to the learning rate of the next.

    Example:
        >>> schedule = make_schedule(TrainConfig(learning_rate=0.5, warmup=0.1), 100)
        >>> [round(float(schedule(step)), 3) for step in (0, 5, 10, 55, 100)]
        [0.0, 0.25, 0.5, 0.25, 0.0]
    """
    warmup_steps = round(config.warmup * total_steps)
    rest = max(total_steps - warmup_steps, 1)
    main = (
        optax.cosine_decay_schedule(config.learning_rate, rest)
        if config.schedule == "cosine"
        else optax.constant_schedule(config.learning_rate)
    )
    if not warmup_steps:
        return main
    rise = optax.linear_schedule(0.0, config.learning_rate, warmup_steps)
    return optax.join_schedules([rise, main], [warmup_steps])


def make_optimizer(config: TrainConfig, total_steps: int) -> optax.GradientTransformation:
    """Return AdamW with the schedule of `config`, after clipping by the global norm.

    Args:
        config: The settings: the schedule's, `weight_decay` and `clip_norm`.
        total_steps: The number of steps of the whole run.

    Returns:
        The gradient transformation.

    References:
        Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019,
        https://arxiv.org/abs/1711.05101; clipping: Pascanu et al. 2013, algorithm 1,
        https://arxiv.org/abs/1211.5063.
    """
    adamw = optax.adamw(
        make_schedule(config, total_steps),
        weight_decay=config.weight_decay,
        mask=_matrices if config.weight_decay else None,
    )
    if not config.clip_norm:
        return adamw
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), adamw)


def _matrices(params: Params) -> Params:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
