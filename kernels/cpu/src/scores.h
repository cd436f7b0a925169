// The scores S of a tile: which keys its queries see, the product, softcap, bias and masks.
//
// Lanes of vectors are queries, S is [key][lane]. So maxima and sums over keys are plain vector
// operations. Scores are in units of log2: a factor log2(e) was put into the queries.
#pragma once

#include "packing.h"

namespace attn {
namespace {

// The keys that some (all) of the queries q0 ... q0 + Br - 1 see: [begin, end), [whole, partial).
struct Range {
  Index begin, end, whole, partial;
  Range(const Problem& p, Index b, Index q0) {
    const Index first = q0 + *p.offset.at(b), last = first + least(BR, p.queries - q0) - 1;
    begin = most(0, first - p.left), whole = most(0, last - p.left);
    end = least(p.keys, last + p.right + 1);
    // Beyond the last key, or before the first, there is no memory to read.
    if (begin >= end) begin = end = 0;
    partial = least(p.keys, first + p.right + 1);
  }
};

// Up to Br queries of one head, and up to Bc of their keys.
struct Tile {
  Index b, h, q0, k0, count;  // count is a multiple of KR
  bool edge;                  // whether position alone hides some pair

  // The keys from k0 on that the queries see, if any: then count is positive.
  Tile(const Problem& p, Index b, Index h, Index q0, Index k0) : b(b), h(h), q0(q0) {
    const Range range(p, b, q0);
    const Index from = most(k0, range.begin / KR * KR);
    const Index to = least(k0 + BC, round_up(range.end, KR));
    this->k0 = from, count = to - from;
    edge = from < range.whole || to > range.partial;
  }
};

ATTN_INLINE bool is_of_pairs(const Layout& x) { return x.strides[1] && x.strides[2]; }

ATTN_INLINE bool has_pairs(const Problem& p) {
  return p.bias.data || p.mask.data || p.key_mask.data || p.query_segments.data;
}

// Hide the keys of other segments. False: they all are.
bool read_segments(const Problem& p, const Tile& t, float* pairs) {
  alignas(64) int32_t segments[BR] = {};
  memcpy(segments, p.query_segments.at(t.b, 0, t.q0),
         least(BR, p.queries - t.q0) * sizeof(int32_t));
  int any = 0;
  for (Index j = 0; j < least(t.count, p.keys - t.k0); ++j) {
    const int32_t segment = *p.key_segments.at(t.b, 0, t.k0 + j);
    for (Index i = 0; i < BR; ++i) {
      const bool same = segments[i] == segment;
      any |= same;
      pairs[j * BR + i] = same ? pairs[j * BR + i] : -INF;
    }
  }
  return any;
}

// In units of log2. A finite bias hides nothing, however low: the lowest number must stay one.
ATTN_INLINE F bias_of(F bias) {
  const F x = bias * LOG2E;
  return bias == -INF ? bias : x < LOWEST ? splat(LOWEST) : x;
}

// Biases that differ between queries and keys lie in memory by rows.
void read_bias(const Problem& p, const Tile& t, float* pairs) {
  const float* from = p.bias.at(t.b, t.h, t.q0, t.k0);
  const Index stride = p.bias.strides[1];
  for (Index i = 0; i < BR; i += VL)
    for (Index j = 0; j < t.count; j += VL) {
      F x[VL];
      load_rows(x, from + i * stride + j, stride, p.queries - t.q0 - i, p.keys - t.k0 - j);
      transpose(x);
      UNROLL for (int r = 0; r < VL; ++r) at(pairs + (j + r) * BR + i) = bias_of(x[r]);
    }
}

// As do masks; those of four keys are transposed as one number. False: all is hidden.
bool read_mask(const Problem& p, const Tile& t, float* pairs) {
  const bool* from = p.mask.at(t.b, t.h, t.q0, t.k0);
  const Index stride = p.mask.strides[1];
  I any = {};
  for (Index i = 0; i < BR; i += VL)
    for (Index j = 0; j < t.count; j += 4 * VL) {
      F x[VL];
      load_rows(x, from + i * stride + j, stride, p.queries - t.q0 - i, p.keys - t.k0 - j);
      UNROLL for (int r = 0; r < VL; ++r) any |= (I)x[r];
      transpose(x);
      UNROLL for (int r = 0; r < VL; ++r) UNROLL for (int four = 0; four < 4; ++four) {
        Lanes& pair = at(pairs + (j + 4 * r + four) * BR + i);
        pair = ((I)x[r] & 1 << 8 * four) != 0 ? pair : splat(-INF);
      }
    }
  return any_of(any);
}

// Call use(pairs of one key, numbers) with what all queries, or all keys, share.
template <typename T, typename Use>
ATTN_INLINE void read_shared(const Problem& p, const Operand<T>& operand, const Tile& t,
                             float* pairs, Use use) {
  alignas(64) float own[BR] = {};
  for (Index i = 0; i < least(BR, p.queries - t.q0); ++i)
    own[i] = *operand.at(t.b, t.h, t.q0 + i, t.k0);
  const bool by_key = operand.strides[2];
  for (Index j = 0; j < least(t.count, p.keys - t.k0); ++j) {
    const F key = splat(by_key ? *operand.at(t.b, t.h, t.q0, t.k0 + j) : 0);
    UNROLL for (int c = 0; c < QV; ++c)
      use(at(pairs + j * BR + c * VL), by_key ? key : at(own + c * VL));
  }
}

// pairs[key][lane]: what is added to a score; minus infinity hides. False: a mask hides them all.
bool read_pairs(const Problem& p, const Tile& t, float* pairs) {
  if (p.bias.data && is_of_pairs(p.bias)) {
    read_bias(p, t, pairs);
  } else {
    memset(pairs, 0, t.count * BR * sizeof(float));
    if (p.bias.data) read_shared(p, p.bias, t, pairs, [](Lanes& x, F bias) { x += bias_of(bias); });
  }
  const Operand<bool>* masks[] = {&p.mask, &p.key_mask};
  for (const Operand<bool>* mask : masks) {
    I any = {};
    if (!mask->data) continue;
    if (is_of_pairs(*mask)) {
      if (!read_mask(p, t, pairs)) return false;
      continue;
    }
    read_shared(p, *mask, t, pairs, [&](Lanes& x, F sees) {
      any |= sees != 0;
      x = sees != 0 ? x : splat(-INF);
    });
    if (!any_of(any)) return false;
  }
  return !p.query_segments.data || read_segments(p, t, pairs);
}

// Minus infinity where causality, the window or the end of the keys hides a pair.
void hide_by_position(const Problem& p, const Tile& t, float* S) {
  I lane;
  for (int i = 0; i < VL; ++i) lane[i] = i;
  const int32_t far = 1 << 30, first = int32_t(t.q0 + *p.offset.at(t.b));
  for (int c = 0; c < QV; ++c) {
    const I query = lane + (first + c * VL);
    const I from = query - int32_t(least(p.left, 1 << 29));
    const I to = query + int32_t(least(p.right, 1 << 29));
    for (Index j = 0; j < t.count; ++j) {
      const I key = I{} + (t.k0 + j < p.keys ? int32_t(t.k0 + j) : far);
      Lanes& s = at(S + j * BR + c * VL);
      s = ((key >= from) & (key <= to) & (key < far)) ? s : splat(-INF);
    }
  }
}

// slope[key][lane] is the derivative of the softcap, if it is wanted.
void cap(const Problem& p, const Tile& t, float* S, float* slope) {
  const float unit = p.softcap * LOG2E;
  for (Index i = 0; i < t.count * BR; i += VL) {
    const F x = tanh_of(at(S + i) / unit);
    at(S + i) = x * unit;
    if (slope) at(slope + i) = 1.f - x * x;
  }
}

// S = cap(K Q^T) + pairs, for the packed queries of the tile and all packed keys of its head.
ATTN_INLINE void scores(const Problem& p, const Tile& t, Index D, const float* query,
                        const float* keys, const float* pairs, float* S, float* slope) {
  for (Index j = 0; j < t.count; j += KR) {
    F acc[KR][QV] = {};
    product<KR, QV>(acc, query, BR, keys + (t.k0 + j) * D, KR, 1, D);
    UNROLL for (int r = 0; r < KR; ++r) UNROLL for (int c = 0; c < QV; ++c)
      at(S + (j + r) * BR + c * VL) = acc[r][c];
  }
  if (p.softcap > 0) cap(p, t, S, slope);
  if (has_pairs(p))
    for (Index i = 0; i < t.count * BR; i += VL) at(S + i) += at(pairs + i);
  if (t.edge) hide_by_position(p, t, S);
}

}  // namespace
}  // namespace attn
