// Vectors by the extensions of GCC and Clang, the exponential, and the one micro-kernel that
// computes all products.
#pragma once

#include <string.h>

#include "attention.h"

// Without unrolling and inlining the sums of the micro-kernel would live in memory.
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

namespace attn {
namespace {

// VL floats are a vector. The micro-kernel keeps KR x QV of them in registers, and 3 operands.
#if defined(__AVX512F__)
constexpr int VL = 16, KR = 8;  // 32 registers
#elif defined(__AVX2__)
constexpr int VL = 8, KR = 4;  // 16 registers
#else
constexpr int VL = 4, KR = 8;  // NEON: 32 registers; generic code is made of SSE2, or of no vectors
#endif
constexpr int QV = 3;
// Br queries by Bc keys are a tile.
constexpr Index BR = QV * VL, BC = 128;
constexpr Index STEP = 2 * VL;  // features are padded to a multiple
constexpr float LOG2E = 1.44269504088896340736f, LN2 = 0.693147180559945309417f;
constexpr float LOWEST = -3.402823466e38f, INF = __builtin_inff();

typedef float F __attribute__((vector_size(VL * 4)));
typedef int32_t I __attribute__((vector_size(VL * 4)));
typedef F Lanes __attribute__((may_alias));  // in an array of floats

ATTN_INLINE F splat(float x) { return x - F{}; }
ATTN_INLINE Lanes& at(float* p) { return *reinterpret_cast<Lanes*>(p); }
ATTN_INLINE const Lanes& at(const float* p) { return *reinterpret_cast<const Lanes*>(p); }
ATTN_INLINE F larger(F a, F b) { return a > b ? a : b; }
ATTN_INLINE float larger(float a, float b) { return a > b ? a : b; }
ATTN_INLINE Index round_up(Index n, Index m) { return (n + m - 1) / m * m; }
ATTN_INLINE Index least(Index a, Index b) { return a < b ? a : b; }
ATTN_INLINE Index most(Index a, Index b) { return a > b ? a : b; }

ATTN_INLINE float sum_of(F x) {
  float sum = 0;
  for (int i = 0; i < VL; ++i) sum += x[i];
  return sum;
}

ATTN_INLINE bool any_of(I x) {
  typedef int64_t Part __attribute__((vector_size(16)));
  Part parts[VL / 4];
  memcpy(parts, &x, sizeof x);
  for (int i = 1; i < VL / 4; ++i) parts[0] |= parts[i];
  return parts[0][0] | parts[0][1];
}

// 2^y for y <= 0, at most 2 ulp off: exactly 0 from -127 down (so for minus infinity), NaN for NaN.
ATTN_INLINE F exp2_of(F y) {
  y = y < splat(-127.f) ? splat(-127.f) : y;
  const F t = y + 12582912.f;  // 1.5 * 2^23: rounds, and leaves the integer in the low bits
  const F f = y - (t - 12582912.f);
  F p = splat(1.5403530393381609e-4f);
  p = p * f + 1.3333558146428443e-3f;
  p = p * f + 9.6181291076284772e-3f;
  p = p * f + 5.5504108664821580e-2f;
  p = p * f + 2.4022650695910071e-1f;
  p = p * f + 6.9314718055994531e-1f;
  p = p * f + 1.f;
  return (F)((I)p + ((I)t << 23));
}

// tanh, from e = exp(-2 |x|) or, where that would cancel, from its series.
ATTN_INLINE F tanh_of(F x) {
  const F size = x < 0 ? -x : x, square = x * x;
  const F e = exp2_of(size * (-2 * LOG2E)), large = (1.f - e) / (1.f + e);
  F series = square * (62.f / 2835) - 17.f / 315;
  series = series * square + 2.f / 15;
  series = series * square - 1.f / 3;
  series = x + x * square * series;
  return size < 0.25f ? series : x < 0 ? -large : large;
}

// acc[r][c] += sum over depth of b[t * depth_stride + r * row_stride] * a[t * a_stride + lanes of c].
template <int R, int C>
ATTN_INLINE void product(F (&acc)[R][C], const float* a, Index a_stride, const float* b,
                         Index depth_stride, Index row_stride, Index depth) {
  for (Index t = 0; t < depth; ++t, a += a_stride, b += depth_stride) {
    F x[C];
    UNROLL for (int c = 0; c < C; ++c) x[c] = at(a + c * VL);
    UNROLL for (int r = 0; r < R; ++r) {
      const F y = splat(b[r * row_stride]);
      UNROLL for (int c = 0; c < C; ++c) acc[r][c] += y * x[c];
    }
  }
}

// The sizes of a problem, padded.
struct Shape {
  Index D, E, K, Q, group;
  explicit Shape(const Problem& p)
      : D(round_up(p.dim, STEP)), E(round_up(p.value_dim, STEP)), K(round_up(p.keys, BC)),
        Q(round_up(p.queries, BR)), group(p.heads / p.key_heads) {}
};

}  // namespace
}  // namespace attn
