// Copies of the operands in the order in which the micro-kernel reads them.
#pragma once

#include "vectors.h"

namespace attn {
namespace {

// to[c][t][r] = from[t][c * KR + r]: an operand of products whose depth is rows t.
void pack_rows(float* to, const float* from, Index stride, Index rows, Index padded, Index dim) {
  // A stride of 2 KiB hits few sets of the cache: 16 rows at a time use each of its lines up.
  for (Index t0 = 0; t0 < padded; t0 += 16)
    for (Index c = 0; c < round_up(dim, STEP); c += KR)
      for (Index t = t0; t < least(t0 + 16, padded); ++t) {
        float* x = to + c * padded + t * KR;
        const float* y = from + t * stride + c;
        if (t < rows && c + KR <= dim)
          memcpy(x, y, KR * sizeof(float));
        else
          for (int r = 0; r < KR; ++r) x[r] = t < rows && c + r < dim ? y[r] : 0.f;
      }
}

typedef float Eight __attribute__((vector_size(32)));
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int32_t EightPlaces __attribute__((vector_size(32)));
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, EightPlaces{__VA_ARGS__})
#endif

// Transpose 8 x 8 numbers: pairs of rows, pairs of pairs, halves.
ATTN_INLINE void transpose(float (&x)[8][8]) {
  Eight r[8], s[8];
  memcpy(r, x, sizeof r);
  UNROLL for (int i = 0; i < 8; i += 2) {
    s[i] = SHUFFLE(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    s[i + 1] = SHUFFLE(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  UNROLL for (int i = 0; i < 8; i += 4) UNROLL for (int j = 0; j < 2; ++j) {
      r[i + 2 * j] = SHUFFLE(s[i + j], s[i + 2 + j], 0, 1, 8, 9, 4, 5, 12, 13);
      r[i + 2 * j + 1] = SHUFFLE(s[i + j], s[i + 2 + j], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  UNROLL for (int i = 0; i < 4; ++i) {
    s[i] = SHUFFLE(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    s[i + 4] = SHUFFLE(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  memcpy(x, s, sizeof s);
}
ATTN_INLINE void transpose(float (&x)[4][4]) {
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < i; ++j) {
      const float y = x[i][j];
      x[i][j] = x[j][i], x[j][i] = y;
    }
}

// to[c][d][r] = factor * from[c * N + r][d] for groups of N rows: products whose depth is d.
template <int N>
void pack_columns(float* to, const float* from, Index stride, Index rows, Index padded, Index dim,
                  float factor) {
  constexpr int B = N % 8 ? 4 : 8;  // squares of B x B are transposed
  static_assert(N % B == 0 && STEP % B == 0, "squares fill groups and features");
  const Index D = round_up(dim, STEP);
  for (Index c = 0; c < padded; c += N)
    for (Index d0 = 0; d0 < D; d0 += B)
      for (int r0 = 0; r0 < N; r0 += B) {
        float part[B][B] = {};
        for (int r = 0; r < B && c + r0 + r < rows; ++r) {
          const float* x = from + (c + r0 + r) * stride + d0;
          if (d0 + B <= dim)
            memcpy(part[r], x, sizeof part[r]);
          else
            for (Index d = 0; d0 + d < dim; ++d) part[r][d] = x[d];
        }
        transpose(part);
        for (int d = 0; d < B; ++d)
          for (int r = 0; r < B; ++r) to[c * D + (d0 + d) * N + r0 + r] = part[d][r] * factor;
      }
}

// to[r][d] = from[r][d], with zeros to the sides and below.
void copy_rows(float* to, const float* from, Index stride, Index rows, Index padded, Index dim) {
  const Index D = round_up(dim, STEP);
  memset(to, 0, padded * D * sizeof(float));
  for (Index r = 0; r < rows; ++r) memcpy(to + r * D, from + r * stride, dim * sizeof(float));
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
