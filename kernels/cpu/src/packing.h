// Copies of the operands in the order in which the micro-kernel reads them.
#pragma once

#include "vectors.h"

namespace attn {
namespace {

// The numbers of two vectors by turns: those of their first halves, and those of their second.
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, I{__VA_ARGS__})
#endif
#if defined(__AVX512F__)
#define FIRST 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SECOND 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif defined(__AVX2__)
#define FIRST 0, 8, 1, 9, 2, 10, 3, 11
#define SECOND 4, 12, 5, 13, 6, 14, 7, 15
#else
#define FIRST 0, 4, 1, 5
#define SECOND 2, 6, 3, 7
#endif

// Transpose VL x VL numbers: as often as VL can be halved, zip the first half of the rows with the
// second.
ATTN_INLINE void transpose(F (&x)[VL]) {
  UNROLL for (int n = 1; n < VL; n *= 2) {
    F y[VL];
    UNROLL for (int i = 0; i < VL / 2; ++i) {
      y[2 * i] = SHUFFLE(x[i], x[i + VL / 2], FIRST);
      y[2 * i + 1] = SHUFFLE(x[i], x[i + VL / 2], SECOND);
    }
    UNROLL for (int i = 0; i < VL; ++i) x[i] = y[i];
  }
}

// Load VL rows of so many bytes as a vector has, and zeros where there are none.
template <typename T>
ATTN_INLINE void load_rows(F (&x)[VL], const T* from, Index stride, Index rows, Index columns) {
  const Index bytes = columns * sizeof(T);
  if (rows >= VL && bytes >= Index(sizeof(F))) {
    UNROLL for (int r = 0; r < VL; ++r) memcpy(&x[r], from + r * stride, sizeof(F));
    return;
  }
  for (int r = 0; r < VL; ++r) {
    x[r] = F{};
    if (r < rows && bytes > 0) memcpy(&x[r], from + r * stride, least(bytes, sizeof(F)));
  }
}

// Call use(r, d, x) with VL x VL numbers x of the rows from r on and the features from d on, with
// zeros to the sides and below.
template <typename Use>
ATTN_INLINE void by_blocks(const float* from, Index stride, Index rows, Index padded, Index dim,
                           Use use) {
  for (Index r = 0; r < padded; r += VL)
    for (Index d = 0; d < round_up(dim, STEP); d += VL) {
      F x[VL];
      load_rows(x, from + r * stride + d, stride, rows - r, dim - d);
      use(r, d, x);
    }
}

// to[c][d][r] = factor * from[c * N + r][d] for groups of N rows: products whose depth is d.
template <int N>
ATTN_INLINE void put_columns(float* to, Index D, Index r0, Index d0, F (&x)[VL], float factor) {
  constexpr int SHARE = N < VL ? N : VL;  // rows of one group among VL of them
  static_assert(N % SHARE == 0 && VL % SHARE == 0 && BC % VL == 0, "vectors fill groups");
  transpose(x);
  UNROLL for (int d = 0; d < VL; ++d) x[d] *= factor;
  for (int r = 0; r < VL; r += SHARE) {
    float* group = to + (r0 + r) / N * N * D + (r0 + r) % N;
    UNROLL for (int d = 0; d < VL; ++d)
      memcpy(group + (d0 + d) * N, reinterpret_cast<float*>(&x[d]) + r, SHARE * sizeof(float));
  }
}

template <int N>
void pack_columns(float* to, const float* from, Index stride, Index rows, Index padded, Index dim,
                  float factor) {
  by_blocks(from, stride, rows, padded, dim, [&](Index r, Index d, F(&x)[VL]) {
    put_columns<N>(to, round_up(dim, STEP), r, d, x, factor);
  });
}

// to[c][t][r] = from[t][c * KR + r] for all `padded` rows t: products whose depth is t.
ATTN_INLINE void put_rows(float* to, Index padded, Index t0, Index d0, const F (&x)[VL]) {
  constexpr int SHARE = KR < VL ? KR : VL;
  for (int c = 0; c < VL; c += SHARE) {
    float* group = to + (d0 + c) / KR * KR * padded + (d0 + c) % KR;
    UNROLL for (int t = 0; t < VL; ++t)
      memcpy(group + (t0 + t) * KR, reinterpret_cast<const float*>(&x[t]) + c,
             SHARE * sizeof(float));
  }
}

void pack_rows(float* to, const float* from, Index stride, Index rows, Index padded, Index dim) {
  by_blocks(from, stride, rows, padded, dim,
            [&](Index t, Index d, const F(&x)[VL]) { put_rows(to, padded, t, d, x); });
}

ATTN_INLINE F load(const float* from, Index count = VL) {
  F x = {};
  memcpy(&x, from, count >= VL ? sizeof x : count * sizeof(float));
  return x;
}
ATTN_INLINE void store(float* to, F x, Index count) {
  memcpy(to, &x, count >= VL ? sizeof x : count * sizeof(float));
}

// Call use(r, d, x, count) with x = from[d ... d + VL][r] for the rows r of a tile: what is packed
// by columns, by rows. Only `count` of the numbers exist.
template <typename Use>
ATTN_INLINE void unpack_columns(const float* from, Index rows, Index dim, Use use) {
  for (Index r0 = 0; r0 < rows; r0 += VL)
    for (Index d0 = 0; d0 < dim; d0 += VL) {
      F x[VL];
      UNROLL for (int d = 0; d < VL; ++d) x[d] = at(from + (d0 + d) * BR + r0);
      transpose(x);
      for (Index r = 0; r < least(VL, rows - r0); ++r) use(r0 + r, d0, x[r], dim - d0);
    }
}

Index packed_k(const Problem& p) { return Shape(p).K * Shape(p).D; }
Index packed_v(const Problem& p) { return Shape(p).K * Shape(p).E; }
Index packed_q(const Problem& p) { return Shape(p).group * Shape(p).Q * Shape(p).D; }

// One head of keys, its values, and all the heads of queries that it serves.
void pack(const Problem& p, Index item) {
  const Shape n(p);
  const Index head = p.first + item, b = head / p.key_heads, g = head % p.key_heads;
  pack_columns<KR>(p.packed_k + item * packed_k(p), p.k.at(b, 0, g), p.k.strides[0], p.keys, n.K,
                   p.dim, 1.f);
  if (p.packed_v)
    pack_rows(p.packed_v + item * packed_v(p), p.v.at(b, 0, g), p.v.strides[0], p.keys, n.K,
              p.value_dim);
  for (Index i = 0; p.packed_q && i < n.group; ++i)
    pack_columns<BR>(p.packed_q + (item * n.group + i) * n.Q * n.D, p.q.at(b, 0, g * n.group + i),
                     p.q.strides[0], p.queries, n.Q, p.dim, p.scale * LOG2E);
}

}  // namespace
}  // namespace attn
