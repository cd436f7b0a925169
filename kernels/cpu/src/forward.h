// The forward pass: Dao et al., "FlashAttention", 2022, algorithm 1, whose names it uses, and what
// can be known of single queries in the same pass.
#pragma once

#include "scores.h"

namespace attn {
namespace {

constexpr Index SUB = 4;  // tiles of queries that share a block of keys while it is in the cache

// What is carried along the keys for Br queries: m and l of the paper, and sums of statistics.
struct Running {
  F m[QV];         // the largest score so far
  F l[QV];         // the sum of P = 2^(score - m)
  F surprise[QV];  // the sum of (score - m) P
  F distance[QV];  // the sum of |query - key| P
  float *query, *O;  // packed [d][Br]; the sum of P V, [e][Br]
  float* top;        // the largest scores so far and their keys, [top_k][2][Br]
};

// Keep the largest scores of each query, and their keys. Most tiles have few that are large enough.
void keep_largest(const Problem& p, const Tile& t, const Running& x, const float* S) {
  for (int c = 0; c < QV; ++c) {
    float *first = x.top + c * VL, *last = first + (p.top_k - 1) * 2 * BR;
    for (Index j0 = 0; j0 < t.count; j0 += KR) {
      F m = splat(-INF);
      UNROLL for (int r = 0; r < KR; ++r) m = larger(at(S + (j0 + r) * BR + c * VL), m);
      if (!any_of(m > at(last))) continue;
      for (Index j = j0; j < j0 + KR; ++j) {
        F score = at(S + j * BR + c * VL);
        I key = I{} + int32_t(t.k0 + j);
        if (!any_of(score > at(last))) continue;
        for (float* top = first; top <= last; top += 2 * BR) {
          const F other = at(top);
          const I other_key = (I)at(top + BR), is_larger = score > other;
          at(top) = is_larger ? score : other;
          at(top + BR) = (F)(is_larger ? key : other_key);
          score = is_larger ? other : score;
          key = is_larger ? other_key : key;
        }
      }
    }
  }
}

// Add one tile to the sums.
template <bool ENTROPY, bool DISTANCE>
void attend(const Problem& p, const Shape& n, const Tile& t, Running& x, const float* keys,
            const float* values, const float* pairs, float* P) {
  scores(p, t, n.D, x.query, keys, pairs, P, nullptr);

  // m_new = max(m, rowmax(S))
  F m[QV], l[QV] = {}, surprise[QV] = {}, distance[QV] = {};
  UNROLL for (int c = 0; c < QV; ++c) m[c] = x.m[c];
  for (Index j = 0; j < t.count; ++j)
    UNROLL for (int c = 0; c < QV; ++c) m[c] = larger(at(P + j * BR + c * VL), m[c]);

  if (p.top_k) keep_largest(p, t, x, P);

  // P = 2^(S - m_new), l = rowsum(P), and the statistics of this tile alone
  F position = {};
  for (int i = 0; i < VL; ++i) position[i] = float(t.q0 + *p.offset.at(t.b) - t.k0 + i);
  for (Index j = 0; j < t.count; ++j)
    UNROLL for (int c = 0; c < QV; ++c) {
      Lanes& w = at(P + j * BR + c * VL);
      const F y = larger(splat(-127.f), w - m[c]), e = exp2_of(w - m[c]);
      w = e;
      l[c] += e;
      if (ENTROPY) surprise[c] += e * y;
      if (DISTANCE) {
        const F away = position + float(c * VL - j);
        distance[c] += e * (away < 0 ? -away : away);
      }
    }

  // Earlier sums were relative to the old m: alpha = 2^(m - m_new) makes them relative to the new.
  F alpha[QV];
  for (int c = 0; c < QV; ++c) {
    const F fall = larger(x.m[c] - m[c], splat(-127.f));
    alpha[c] = exp2_of(fall);
    if (ENTROPY) x.surprise[c] = (x.surprise[c] + x.l[c] * fall) * alpha[c] + surprise[c];
    if (DISTANCE) x.distance[c] = x.distance[c] * alpha[c] + distance[c];
    x.l[c] = x.l[c] * alpha[c] + l[c];
    x.m[c] = m[c];
  }

  // O = alpha O + P V; the sum of a tile is finished first, which rounds less than one long sum
  for (Index e = 0; e < n.E; e += KR) {
    F acc[KR][QV] = {};
    product<KR, QV>(acc, P, BR, values + e * n.K + t.k0 * KR, KR, 1, t.count);
    UNROLL for (int r = 0; r < KR; ++r) UNROLL for (int c = 0; c < QV; ++c) {
      Lanes& o = at(x.O + (e + r) * BR + c * VL);
      o = o * alpha[c] + acc[r][c];
    }
  }
}

// Store the statistics of one query; return what its sum of values is multiplied by.
float finish_row(const Problem& p, const Running& x, Index b, Index h, Index q, int i) {
  const int c = i / VL, lane = i % VL;
  const Index row = (b * p.heads + h) * p.queries + q;
  const float m = x.m[c][lane], l = x.l[c][lane];
  const float sink = p.sinks.data ? *p.sinks.at(b, h) * LOG2E : -INF;
  const bool sees = l > 0 || l != l;
  // A sink is one more key without a value, so it takes part in the maximum too.
  const float shift = sees ? larger(m, sink) : sink == -INF ? 0 : sink;
  const float fall = sees ? larger(m - shift, -127.f) : 0;
  const float rescale = __builtin_exp2f(fall);
  const float total = l * rescale + (sink == -INF ? 0 : __builtin_exp2f(sink - shift));
  const float scale = sees ? rescale / total : 0, log_total = __builtin_logf(total);

  p.shift[row] = shift * LN2;
  p.log_sum[row] = total == 0 ? INF : log_total;  // whatever sees nothing has no weights
  if (p.max_logit) p.max_logit[row] = sees ? m * LN2 : -INF;
  if (p.entropy)
    p.entropy[row] =
        sees ? scale * (l * log_total - (x.surprise[c][lane] + fall * l) * LN2) : 0;
  if (p.distance) p.distance[row] = scale * x.distance[c][lane];
  return scale;
}

// Store the largest weights of the queries from q0 on, and their keys.
void finish_top(const Problem& p, const Running& x, Index row, Index queries, const float* scale) {
  for (Index n = 0; n < p.top_k; ++n) {
    float* top = x.top + n * 2 * BR;
    for (int c = 0; c < QV; ++c) at(top + c * VL) = exp2_of(at(top + c * VL) - x.m[c]);
    for (Index i = 0; i < queries; ++i) {
      const float weight = top[i] * scale[i];
      p.top_weights[(row + i) * p.top_k + n] = weight;
      int32_t key;
      memcpy(&key, top + BR + i, sizeof key);
      p.top_indices[(row + i) * p.top_k + n] = weight > 0 ? key : -1;
    }
  }
}

// Divide the sums of the queries from q0 on by l, to which a sink adds itself, and store them.
void finish(const Problem& p, const Running& x, Index b, Index h, Index q0) {
  const Index queries = least(BR, p.queries - q0), stride = p.heads * p.value_dim;
  float scale[BR];
  for (int i = 0; i < queries; ++i) scale[i] = finish_row(p, x, b, h, q0 + i, i);
  finish_top(p, x, (b * p.heads + h) * p.queries + q0, queries, scale);
  float* out = p.out + ((b * p.queries + q0) * p.heads + h) * p.value_dim;
  unpack_columns(x.O, queries, p.value_dim, [&](Index i, Index e, F o, Index count) {
    store(out + i * stride + e, scale[i] == 0 ? F{} : o * scale[i], count);
  });
}

Index blocks(const Problem& p) { return (p.queries + SUB * BR - 1) / (SUB * BR); }
Index forward_items(const Problem& p) { return Shape(p).group * blocks(p); }
Index forward_scratch(const Problem& p) {
  const Shape n(p);
  return 2 * BC * BR + SUB * BR * (n.D + n.E + 2 * p.top_k);
}

// One block of SUB * Br queries of one head; the last ones first, as they see most if causal.
void forward(const Problem& p, Index item, float* scratch) {
  const Shape n(p);
  const Index local = item / blocks(p), bh = p.first * n.group + local, b = bh / p.heads,
              h = bh % p.heads, first = (blocks(p) - 1 - item % blocks(p)) * SUB * BR;
  const Index tiles = least(SUB, (p.queries - first + BR - 1) / BR);
  const float *keys = p.packed_k + local / n.group * packed_k(p),
              *values = p.packed_v + local / n.group * packed_v(p);
  float *P = scratch, *pairs = P + BC * BR, *next = pairs + BC * BR;

  // Queries are packed, with scale and log2(e) in them; m = the lowest, l = 0, O = 0
  Running rows[SUB];
  Index begin = p.keys, end = 0;
  for (Index s = 0; s < tiles; ++s, next += BR * (n.D + n.E + 2 * p.top_k)) {
    const Index q0 = first + s * BR;
    Running& x = rows[s];
    x.O = next;
    x.query = next + BR * n.E;
    x.top = x.query + BR * n.D;
    for (Index i = 0; i < p.top_k * 2 * BR; i += VL) at(x.top + i) = splat(-INF);
    memset(x.O, 0, BR * n.E * sizeof(float));
    for (int c = 0; c < QV; ++c)
      x.m[c] = splat(LOWEST), x.l[c] = x.surprise[c] = x.distance[c] = F{};
    pack_columns<BR>(x.query, p.q.at(b, q0, h), p.q.strides[0], p.queries - q0, BR, p.dim,
                     p.scale * LOG2E);
    const Range range(p, b, q0);
    begin = least(begin, range.begin), end = most(end, range.end);
  }

  const auto step = p.entropy ? (p.distance ? attend<true, true> : attend<true, false>)
                              : (p.distance ? attend<false, true> : attend<false, false>);
  for (Index k0 = begin / BC * BC; k0 < end; k0 += BC)
    for (Index s = 0; s < tiles; ++s) {
      const Tile t(p, b, h, first + s * BR, k0);
      if (t.count <= 0 || (has_pairs(p) && !read_pairs(p, t, pairs))) continue;
      step(p, n, t, rows[s], keys, values, pairs, P);
    }
  for (Index s = 0; s < tiles; ++s) finish(p, rows[s], b, h, first + s * BR);
}

}  // namespace
}  // namespace attn
