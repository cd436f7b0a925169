// The weight that each key receives, summed over the queries. It needs their final normalizers, so
// scores are computed anew, by blocks of keys: no two threads add to one sum.
#pragma once

#include "scores.h"

namespace attn {
namespace {

Index received_items(const Problem& p) { return Shape(p).group * (Shape(p).K / BC); }
Index received_scratch(const Problem&) { return 2 * BC * BR; }

void received(const Problem& p, Index item, float* scratch) {
  const Shape n(p);
  const Index blocks = n.K / BC, local = item / blocks, bh = p.first * n.group + local,
              b = bh / p.heads, h = bh % p.heads, k0 = item % blocks * BC;
  const float* keys = p.packed_k + local / n.group * packed_k(p);
  float *S = scratch, *pairs = S + BC * BR;
  F sums[BC] = {};
  for (Index q0 = 0; q0 < p.queries; q0 += BR) {
    const Tile t(p, b, h, q0, k0);
    if (t.count <= 0 || (has_pairs(p) && !read_pairs(p, t, pairs))) continue;
    scores(p, t, n.D, p.packed_q + (local * n.Q + q0) * n.D, keys, pairs, S, nullptr);
    alignas(64) float shift[BR], log_sum[BR];
    for (Index i = 0; i < BR; ++i) {
      const bool exists = q0 + i < p.queries;
      shift[i] = exists ? *p.in_shift.at(b, h, q0 + i) * LOG2E : 0;
      log_sum[i] = exists ? *p.in_log_sum.at(b, h, q0 + i) * LOG2E : INF;
    }
    for (Index j = 0; j < t.count; ++j)
      UNROLL for (int c = 0; c < QV; ++c)
        sums[t.k0 - k0 + j] += exp2_of(at(S + j * BR + c * VL) - at(shift + c * VL) -
                                       at(log_sum + c * VL));
  }
  for (Index j = 0; j < BC && k0 + j < p.keys; ++j) {
    float sum = 0;
    for (int i = 0; i < VL; ++i) sum += sums[j][i];
    p.received[bh * p.keys + k0 + j] = sum;
  }
}

}  // namespace
}  // namespace attn
