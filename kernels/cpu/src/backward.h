// The backward pass: Dao et al., "FlashAttention", 2022, algorithm 4, whose names it uses.
#pragma once

#include "scores.h"
#include "turns.h"

namespace attn {
namespace {

constexpr Index SPAN = 512;  // keys whose gradients stay in the L2 cache while queries pass

Index spans(const Problem& p) { return (p.keys + SPAN - 1) / SPAN; }

// What backward keeps of one head of keys, and of one of the heads of queries that it serves. An
// operand is packed twice where it takes part in products of both depths.
struct Pull {
  float *P, *dS, *slope, *pairs;  // of a tile
  float *key_columns, *key_rows, *dK, *value_columns, *dV;
  float *query_columns, *query_rows, *dQ, *dO_columns, *dO_rows;
  float *shift, *log_sum, *D;  // in units of log2; D = rowsum(dO O)
  float* dbias;                // of a bias that differs between queries or keys, but not both

  ATTN_INLINE Pull(const Shape& n, float* next) {
    auto take = [&](Index floats) { return next += floats, next - floats; };
    P = take(BC * BR), dS = take(BC * BR), slope = take(BC * BR), pairs = take(BC * BR);
    key_columns = take(n.K * n.D), key_rows = take(n.K * n.D), dK = take(n.K * n.D);
    value_columns = take(n.K * n.E), dV = take(n.K * n.E);
    query_columns = take(n.Q * n.D), query_rows = take(n.Q * n.D), dQ = take(n.Q * n.D);
    dO_columns = take(n.Q * n.E), dO_rows = take(n.Q * n.E);
    shift = take(round_up(n.Q, STEP)), log_sum = take(round_up(n.Q, STEP));
    D = take(round_up(n.Q, STEP)), dbias = take(most(round_up(n.Q, STEP), n.K));
  }
};
Index backward_scratch(const Problem& p) {
  const Shape n(p);
  return n.K * (3 * n.D + 2 * n.E) + n.Q * (3 * n.D + 2 * n.E) + 3 * round_up(n.Q, STEP) +
         most(round_up(n.Q, STEP), n.K) + 4 * BC * BR;
}

// The number of turns that are taken for the gradient of a bias of pairs with so many numbers.
Index bias_turns(const Problem& p, Index numbers) {
  const Shape n(p);
  return is_of_pairs(p.dbias_at) ? numbers / (p.queries * p.keys) * spans(p) * (n.Q / BR) : 0;
}

// to += weights times a: rows of weights (KR by KR) times the Br rows of a[q][dim].
ATTN_INLINE void add_rows(float* to, const float* weights, const float* a, Index dim, Index rows) {
  for (Index j = 0; j < rows; j += KR)
    for (Index e = 0; e < dim; e += STEP) {
      F acc[KR][2] = {};
      product<KR, 2>(acc, a + e, dim, weights + j * BR, 1, BR, BR);
      UNROLL for (int r = 0; r < KR; ++r) UNROLL for (int c = 0; c < 2; ++c)
        at(to + (j + r) * dim + e + c * VL) += acc[r][c];
    }
}

// Add dS to the gradient of a bias of pairs; it lies in memory by rows.
void add_pairs(const Problem& p, const Tile& t, const float* dS) {
  float* to = p.dbias + p.dbias_at.place(t.b, t.h, t.q0, t.k0);
  const Index stride = p.dbias_at.strides[1];
  unpack_columns(dS, least(BR, p.queries - t.q0), least(t.count, p.keys - t.k0),
                 [&](Index i, Index j, F x, Index count) {
                   float* sums = to + i * stride + j;
                   store(sums, load(sums, count) + x, count);
                 });
}

// Add dS to the gradient of a bias that queries or keys share.
void add_sums(const Problem& p, const Tile& t, const float* dS, float* dbias) {
  F of_queries[QV] = {};
  for (Index j = 0; j < t.count; ++j) {
    F of_key = {};
    UNROLL for (int c = 0; c < QV; ++c) {
      of_queries[c] += at(dS + j * BR + c * VL);
      of_key += at(dS + j * BR + c * VL);
    }
    if (p.dbias_at.strides[2]) dbias[t.k0 + j] += sum_of(of_key);
  }
  for (int c = 0; c < QV; ++c)
    if (p.dbias_at.strides[1])
      at(dbias + t.q0 + c * VL) += of_queries[c];
    else if (!p.dbias_at.strides[2])
      dbias[0] += sum_of(of_queries[c]);
}

// Add what the queries and keys of a tile have to do with each other.
void pull_tile(const Problem& p, const Shape& n, const Tile& t, const Pull& x) {
  // P = 2^(S - shift - log_sum): the weights, computed anew
  scores(p, t, n.D, x.query_columns + t.q0 * n.D, x.key_columns, x.pairs, x.P, x.slope);
  for (Index j = 0; j < t.count; j += KR) {
    // dP = dO V^T, then dS = P (dP - D), and the slope of the softcap
    F acc[KR][QV] = {};
    product<KR, QV>(acc, x.dO_columns + t.q0 * n.E, BR, x.value_columns + (t.k0 + j) * n.E, KR, 1,
                    n.E);
    UNROLL for (int r = 0; r < KR; ++r) UNROLL for (int c = 0; c < QV; ++c) {
      Lanes& w = at(x.P + (j + r) * BR + c * VL);
      w = exp2_of(w - at(x.shift + t.q0 + c * VL) - at(x.log_sum + t.q0 + c * VL));
      at(x.dS + (j + r) * BR + c * VL) = w * (acc[r][c] - at(x.D + t.q0 + c * VL));
    }
  }
  if (p.dbias && is_of_pairs(p.dbias_at))
    add_pairs(p, t, x.dS);
  else if (p.dbias)
    add_sums(p, t, x.dS, x.dbias);
  if (p.softcap > 0)
    for (Index i = 0; i < t.count * BR; i += VL) at(x.dS + i) *= at(x.slope + i);

  // dV += P^T dO, dK += dS^T Q, dQ += dS K
  add_rows(x.dV + t.k0 * n.E, x.P, x.dO_rows + t.q0 * n.E, n.E, t.count);
  add_rows(x.dK + t.k0 * n.D, x.dS, x.query_rows + t.q0 * n.D, n.D, t.count);
  for (Index d = 0; d < n.D; d += KR) {
    F acc[KR][QV] = {};
    product<KR, QV>(acc, x.dS, BR, x.key_rows + d * n.K + t.k0 * KR, KR, 1, t.count);
    UNROLL for (int r = 0; r < KR; ++r) UNROLL for (int c = 0; c < QV; ++c)
      at(x.dQ + t.q0 * n.D + (d + r) * BR + c * VL) += acc[r][c];
  }
}

// Pack one head of queries, with what the forward pass left of it; dQ = 0.
void pack_queries(const Problem& p, const Shape& n, const Pull& x, Index b, Index h) {
  const float *q = p.q.at(b, 0, h), *dO = p.dout.at(b, 0, h), *O = p.in_out.at(b, 0, h);
  const Index q_stride = p.q.strides[0], dO_stride = p.dout.strides[0];
  by_blocks(q, q_stride, p.queries, n.Q, p.dim, [&](Index i, Index d, F(&y)[VL]) {
    UNROLL for (int r = 0; r < VL; ++r) at(x.query_rows + (i + r) * n.D + d) = y[r];
    put_columns<BR>(x.query_columns, n.D, i, d, y, p.scale * LOG2E);
  });
  by_blocks(dO, dO_stride, p.queries, n.Q, p.value_dim, [&](Index i, Index e, F(&y)[VL]) {
    UNROLL for (int r = 0; r < VL; ++r) at(x.dO_rows + (i + r) * n.E + e) = y[r];
    put_columns<BR>(x.dO_columns, n.E, i, e, y, 1.f);
  });
  memset(x.dQ, 0, n.Q * n.D * sizeof(float));
  memset(x.dbias, 0, most(round_up(n.Q, STEP), n.K) * sizeof(float));
  for (Index i = 0; i < n.Q; ++i) {
    const bool exists = i < p.queries;
    x.shift[i] = exists ? *p.in_shift.at(b, h, i) * LOG2E : 0;
    x.log_sum[i] = exists ? *p.in_log_sum.at(b, h, i) * LOG2E : INF;
  }
  // D is summed in the order of dP: where a query sees a single key they are equal, and dS is 0.
  const Index O_stride = p.in_out.strides[0];
  for (Index i = 0; i < n.Q; i += VL) {
    const float* columns = x.dO_columns + i / BR * BR * n.E + i % BR;
    F sum = {};
    for (Index e = 0; e < p.value_dim; e += VL) {
      F y[VL];
      load_rows(y, O + i * O_stride + e, O_stride, p.queries - i, p.value_dim - e);
      transpose(y);
      UNROLL for (int r = 0; r < VL; ++r) sum += at(columns + (e + r) * BR) * y[r];
    }
    at(x.D + i) = sum;
  }
}

// The queries from q0 on and a span of keys.
void pull_span(const Problem& p, const Shape& n, const Pull& x, Index b, Index h, Index q0,
               Index span) {
  const Index end = least(span + SPAN, p.keys);
  const bool takes_turns = p.dbias && is_of_pairs(p.dbias_at);
  Index *turn = nullptr, number = 0;
  if (takes_turns) {
    // Sequences, and heads in them, add in their order.
    const Index place = p.dbias_at.place(b, h), slice = place / (p.queries * p.keys);
    turn = p.bias_turns + (slice * spans(p) + span / SPAN) * (n.Q / BR) + q0 / BR;
    number = p.dbias_at.strides[0] ? p.earlier[b] : p.earlier[b] * p.heads + h;
    wait_for(p, turn, number);
    for (Index i = q0; !number && i < least(q0 + BR, p.queries); ++i)
      memset(p.dbias + place + i * p.keys + span, 0, (end - span) * sizeof(float));
  }
  for (Index k0 = span; k0 < end; k0 += BC) {
    const Tile t(p, b, h, q0, k0);
    if (t.count > 0 && !(has_pairs(p) && !read_pairs(p, t, x.pairs))) pull_tile(p, n, t, x);
  }
  if (takes_turns) end_turn(turn, number);
}

// Store what one share of the keys adds to the gradients of a head of queries, and of its bias.
void finish_queries(const Problem& p, const Shape& n, const Pull& x, Index b, Index h,
                    Index share) {
  const Index row = p.heads * p.dim;
  float* to = p.dq + (b * p.queries * p.heads + h) * p.dim;
  for (Index q0 = 0; q0 < p.queries; q0 += BR)
    unpack_columns(x.dQ + q0 * n.D, least(BR, p.queries - q0), p.dim,
                   [&](Index i, Index d, F sum, Index count) {
                     float* sums = to + (q0 + i) * row + d;
                     sum *= p.scale;
                     store(sums, share ? sum + load(sums, count) : sum, count);
                   });
  if (!p.dbias || is_of_pairs(p.dbias_at)) return;
  const Index* strides = p.dbias_at.strides;
  const Index numbers = strides[1] ? p.queries : strides[2] ? p.keys : 1;
  float* sums = p.dbias + p.dbias_at.place(b, h);
  for (Index i = 0; i < numbers; ++i) sums[i] = x.dbias[i] + (share ? sums[i] : 0.f);
}

// One head of keys, or every `splits`-th span of its keys. Shares add to the gradients of queries
// in their order, so that results do not depend on chance.
void backward(const Problem& p, Index item, float* scratch) {
  const Shape n(p);
  const Pull x(n, scratch);
  const Index share = item % p.splits, head = item / p.splits, b = head / p.key_heads,
              g = head % p.key_heads;
  const float *k = p.k.at(b, 0, g), *v = p.v.at(b, 0, g);
  for (Index k0 = share * SPAN; k0 < p.keys; k0 += p.splits * SPAN) {
    const Index rest = p.keys - k0, padded = least(SPAN, n.K - k0);
    by_blocks(k + k0 * p.k.strides[0], p.k.strides[0], rest, padded, p.dim,
              [&](Index t, Index d, F(&y)[VL]) {
                put_rows(x.key_rows, n.K, k0 + t, d, y);
                put_columns<KR>(x.key_columns, n.D, k0 + t, d, y, 1.f);
              });
    pack_columns<KR>(x.value_columns + k0 * n.E, v + k0 * p.v.strides[0], p.v.strides[0], rest,
                     padded, p.value_dim, 1.f);
    memset(x.dK + k0 * n.D, 0, padded * n.D * sizeof(float));
    memset(x.dV + k0 * n.E, 0, padded * n.E * sizeof(float));
  }

  for (Index h = g * n.group; h < (g + 1) * n.group; ++h) {
    pack_queries(p, n, x, b, h);
    for (Index span = share * SPAN; span < p.keys; span += p.splits * SPAN)
      for (Index q0 = 0; q0 < p.queries; q0 += BR) pull_span(p, n, x, b, h, q0, span);
    Index* turn = p.turns + b * p.heads + h;
    wait_for(p, turn, share);
    finish_queries(p, n, x, b, h, share);
    end_turn(turn, share);
  }
  for (Index j = 0; j < p.keys; ++j) {
    if (j / SPAN % p.splits != share) continue;
    const Index row = (b * p.keys + j) * p.key_heads + g;
    for (Index d = 0; d < p.dim; ++d) p.dk[row * p.dim + d] = x.dK[j * n.D + d] * p.scale;
    for (Index e = 0; e < p.value_dim; ++e) p.dv[row * p.value_dim + e] = x.dV[j * n.E + e];
  }
}

}  // namespace
}  // namespace attn
