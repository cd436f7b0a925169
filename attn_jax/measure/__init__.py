"""Numbers about attention: what it looks like, and how far it can be believed."""

from attn_jax.measure.agreement import (
    bootstrap,
    jensen_shannon,
    kendall_tau,
    mass_on_object,
    pointing_game,
    total_variation,
)
from attn_jax.measure.attribution import (
    gradient_attribution,
    integrated_gradients,
    leave_one_out,
)
from attn_jax.measure.card import CardLine, ReportCard
from attn_jax.measure.counterfactual import (
    Adversary,
    adversarial_shares,
    swap_permuted,
    swap_shares,
)
from attn_jax.measure.erasure import (
    Erasure,
    comprehensiveness,
    deletion_auc,
    erase,
    insertion_auc,
    rank_keys,
    sufficiency,
)
from attn_jax.measure.report import report_card
from attn_jax.measure.reweigh import (
    equal_shares,
    keep_keys,
    permute_keys,
    received,
    run_reweighed,
    share_out,
)

__all__ = [
    "Adversary",
    "CardLine",
    "Erasure",
    "ReportCard",
    "adversarial_shares",
    "bootstrap",
    "comprehensiveness",
    "deletion_auc",
    "equal_shares",
    "erase",
    "gradient_attribution",
    "insertion_auc",
    "integrated_gradients",
    "jensen_shannon",
    "keep_keys",
    "kendall_tau",
    "leave_one_out",
    "mass_on_object",
    "permute_keys",
    "pointing_game",
    "rank_keys",
    "received",
    "report_card",
    "run_reweighed",
    "share_out",
    "sufficiency",
    "swap_permuted",
    "swap_shares",
    "total_variation",
]
