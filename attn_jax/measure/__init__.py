"""Measures of attention: what it looks like, and how far it explains a model's predictions.

Arrays in, arrays out, under `jit` and `vmap` unless a docstring says otherwise. Measures that run a
model take a function whose attention has hook points.
"""

from attn_jax.hooks import (
    entropy,
    mean_heads,
    row_blocked,
    top_k,
)
from attn_jax.measure.adversary import (
    Adversary,
)
from attn_jax.measure.agreement import (
    bootstrap,
    jensen_shannon,
    kendall_tau,
    mass_on_object,
    pointing_game,
    total_variation,
)
from attn_jax.measure.alignment import (
    AlignmentCounts,
    alignment_counts,
)
from attn_jax.measure.atman import (
    atman,
)
from attn_jax.measure.attn_lrp import (
    apply_lrp_rules,
    attn_lrp,
)
from attn_jax.measure.attribution import (
    gradient_attribution,
    integrated_gradients,
    leave_one_out,
)
from attn_jax.measure.auc import (
    roc_auc,
)
from attn_jax.measure.card import (
    Answer,
    CardLine,
    HeadCards,
    ReportCard,
    report_card,
    report_cards,
)
from attn_jax.measure.co_relevance import (
    CoLayer,
    CoRelevance,
    co_relevance,
)
from attn_jax.measure.contributions import (
    mass_overlap,
    shapley_values,
    top_key_claim,
)
from attn_jax.measure.counterfactual import (
    adversarial_weights,
    swap_permuted,
    swap_weights,
)
from attn_jax.measure.deception import (
    deception_penalty,
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
from attn_jax.measure.heads import (
    Drift,
    cluster_heads,
    drift,
    head_similarity,
)
from attn_jax.measure.importance import (
    PruningCurve,
    head_ablation,
    head_importance,
    pruning_curve,
)
from attn_jax.measure.intervals import (
    holm,
    mean_interval,
    sign_flip_test,
)
from attn_jax.measure.links import (
    argmax_links,
    diagonal_links,
    random_links,
    threshold_links,
)
from attn_jax.measure.monotonic import (
    monotonic_links,
)
from attn_jax.measure.norms import (
    BlockNorms,
    block_norms,
    value_norms,
)
from attn_jax.measure.orders import (
    aopc,
    best_order,
    normalized_aopc,
    removal_shares,
)
from attn_jax.measure.patterns import (
    attention_distance,
    effective_keys,
    offset_score,
    positional_score,
    sink_mass,
    vertical_score,
)
from attn_jax.measure.queries import (
    mean_over_queries,
)
from attn_jax.measure.randomization import (
    RankingAgreement,
    randomized,
    ranking_agreement,
)
from attn_jax.measure.relevance import (
    attention_gradients,
    cross_relevance,
    gradient_attention,
    self_relevance,
)
from attn_jax.measure.reweigh import (
    equal_weights,
    keep_keys,
    permute_keys,
    received,
    run_reweighed,
    set_weights,
)
from attn_jax.measure.rollout import (
    flow,
    rollout,
)
from attn_jax.measure.seeds import (
    SeedAgreement,
    seed_agreement,
)
from attn_jax.measure.similarity import (
    similarity_links,
)
from attn_jax.measure.sinks import (
    MassiveActivations,
    massive_activations,
    sink_rate,
)
from attn_jax.measure.soft import soft_comprehensiveness, soft_sufficiency
from attn_jax.measure.subwords import (
    merge_subwords,
)
from attn_jax.measure.symmetrization import (
    symmetrize,
)
from attn_jax.renames import renamed_names

__all__ = [
    "Adversary",
    "AlignmentCounts",
    "Answer",
    "BlockNorms",
    "CardLine",
    "CoLayer",
    "CoRelevance",
    "Drift",
    "Erasure",
    "HeadCards",
    "MassiveActivations",
    "PruningCurve",
    "RankingAgreement",
    "ReportCard",
    "SeedAgreement",
    "adversarial_weights",
    "alignment_counts",
    "aopc",
    "apply_lrp_rules",
    "argmax_links",
    "atman",
    "attention_distance",
    "attention_gradients",
    "attn_lrp",
    "best_order",
    "block_norms",
    "bootstrap",
    "cluster_heads",
    "co_relevance",
    "comprehensiveness",
    "cross_relevance",
    "deception_penalty",
    "deletion_auc",
    "diagonal_links",
    "drift",
    "effective_keys",
    "entropy",
    "equal_weights",
    "erase",
    "flow",
    "gradient_attention",
    "gradient_attribution",
    "head_ablation",
    "head_importance",
    "head_similarity",
    "holm",
    "insertion_auc",
    "integrated_gradients",
    "jensen_shannon",
    "keep_keys",
    "kendall_tau",
    "leave_one_out",
    "mass_on_object",
    "mass_overlap",
    "massive_activations",
    "mean_heads",
    "mean_interval",
    "mean_over_queries",
    "merge_subwords",
    "monotonic_links",
    "normalized_aopc",
    "offset_score",
    "permute_keys",
    "pointing_game",
    "positional_score",
    "pruning_curve",
    "random_links",
    "randomized",
    "rank_keys",
    "ranking_agreement",
    "received",
    "removal_shares",
    "report_card",
    "report_cards",
    "roc_auc",
    "rollout",
    "row_blocked",
    "run_reweighed",
    "seed_agreement",
    "self_relevance",
    "set_weights",
    "shapley_values",
    "sign_flip_test",
    "similarity_links",
    "sink_mass",
    "sink_rate",
    "soft_comprehensiveness",
    "soft_sufficiency",
    "sufficiency",
    "swap_permuted",
    "swap_weights",
    "symmetrize",
    "threshold_links",
    "top_k",
    "top_key_claim",
    "total_variation",
    "value_norms",
    "vertical_score",
]

__getattr__ = renamed_names(
    __name__,
    {
        "adversarial_shares": "adversarial_weights",
        "equal_shares": "equal_weights",
        "share_out": "set_weights",
        "swap_shares": "swap_weights",
    },
)
