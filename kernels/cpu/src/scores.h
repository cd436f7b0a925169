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

// rows[lane][key]: a bias that differs between queries, in units of log2.
ATTN_INLINE float bias_of(float bias) {
  // A finite bias hides nothing, however low: the lowest number must stay one.
  return bias == -INF ? -INF : larger(bias * LOG2E, LOWEST);
}
void read_bias(const Problem& p, const Tile& t, float* rows) {
  const Index keys = least(t.count, p.keys - t.k0), queries = least(BR, p.queries - t.q0);
  for (Index i = 0; i < queries; ++i) {
    const float* row = p.bias.at(t.b, t.h, t.q0 + i, t.k0);
    if (p.bias.strides[2])
      for (Index j = 0; j < keys; ++j) rows[i * BC + j] = bias_of(row[j]);
    else
      for (Index j = 0; j < keys; ++j) rows[i * BC + j] = bias_of(*row);
  }
}

// Hide by a mask that differs between queries. False: it hides all.
bool read_mask(const Problem& p, const Tile& t, float* rows) {
  typedef uint8_t Bytes __attribute__((vector_size(VL)));
  const Index keys = least(t.count, p.keys - t.k0), queries = least(BR, p.queries - t.q0);
  I any = {};
  for (Index i = 0; i < queries; ++i) {
    const bool* row = p.mask.at(t.b, t.h, t.q0 + i, t.k0);
    for (Index j = 0; j < keys; j += VL) {
      Bytes bytes = {};
      if (!p.mask.strides[2])
        memset(&bytes, *row, VL);
      else if (j + VL <= keys)
        memcpy(&bytes, row + j, VL);
      else
        memcpy(&bytes, row + j, keys - j);
      const I sees = __builtin_convertvector(bytes, I);
      any |= sees;
      Lanes& pair = at(rows + i * BC + j);
      pair = sees != 0 ? pair : splat(-INF);
    }
  }
  int32_t all = 0;
  for (int i = 0; i < VL; ++i) all |= any[i];
  return all;
}

// Call use(pairs[key][lane], its number) for the pairs of a tile, for one that queries share.
template <typename T, typename Use>
ATTN_INLINE void by_key(const Problem& p, const Operand<T>& operand, const Tile& t, float* pairs,
                        Use use) {
  for (Index j = 0; j < least(t.count, p.keys - t.k0); ++j) {
    const T x = *operand.at(t.b, t.h, 0, t.k0 + j);
    for (Index i = 0; i < BR; ++i) use(pairs[j * BR + i], x);
  }
}

// pairs[key][lane]: what is added to a score; minus infinity hides. False: a mask hides them all.
bool read_pairs(const Problem& p, const Tile& t, float* pairs) {
  // Operands that differ between queries lie in memory by rows: they are read so, and transposed.
  const bool bias_rows = p.bias.data && p.bias.strides[1];
  const bool mask_rows = p.mask.data && p.mask.strides[1];
  if (bias_rows || mask_rows) {
    float* rows = pairs + BC * BR;
    memset(rows, 0, BC * BR * sizeof(float));
    if (bias_rows) read_bias(p, t, rows);
    if (mask_rows && !read_mask(p, t, rows)) return false;
    pack_columns<BR>(pairs, rows, BC, BR, BR, t.count, 1.f);
  } else {
    memset(pairs, 0, t.count * BR * sizeof(float));
  }

  // What all queries share is read once for each key.
  if (p.bias.data && !bias_rows)
    by_key(p, p.bias, t, pairs, [](float& pair, float bias) { pair += bias_of(bias); });
  const Operand<bool>* masks[] = {&p.mask, &p.key_mask};
  for (const Operand<bool>* mask : masks) {
    if (!mask->data || mask->strides[1]) continue;
    bool any = false;
    by_key(p, *mask, t, pairs, [&](float& pair, bool sees) {
      any |= sees;
      pair = sees ? pair : -INF;
    });
    if (!any) return false;
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
