// What the kernels (one translation unit per instruction set) and the handlers share. It is plain
// data: an inline function compiled with -mavx512f in one unit could be the copy that the linker
// keeps for all of them, and then crash an older processor. Hence `always_inline`.
#pragma once

#include <stdint.h>

#define ATTN_INLINE inline __attribute__((always_inline))

namespace attn {

using Index = int64_t;

// Where the numbers of an array are that has one batch axis and up to three more, which it need not
// have: the strides of axes along which it is shared are 0, and so its batch may be.
struct Layout {
  const Index* batch;  // where each sequence begins
  Index strides[3];

  ATTN_INLINE Index place(Index b, Index x = 0, Index y = 0, Index z = 0) const {
    return batch[b] + x * strides[0] + y * strides[1] + z * strides[2];
  }
};

template <typename T>
struct Operand : Layout {
  const T* data;  // null: the call has no such operand

  ATTN_INLINE const T* at(Index b, Index x = 0, Index y = 0, Index z = 0) const {
    return data + place(b, x, y, z);
  }
};

// One call. N sequences, h heads, g heads of keys, q queries, k keys, d features, e of the values.
struct Problem {
  Index batch, heads, key_heads, queries, keys, dim, value_dim;
  Operand<float> q, k, v;  // (N, q, h, d), (N, k, g, d), (N, k, g, e)
  Operand<float> bias;     // (N, h, q, k)
  Operand<bool> mask, key_mask;
  Operand<int32_t> query_segments, key_segments;  // (N, 1, q), (N, 1, k)
  Operand<float> sinks;                           // (N, h)
  Operand<int32_t> offset;                        // (N,): the position of query 0
  float scale, softcap;                           // softcap: 0 is none
  Index left, right;                              // a query at p sees keys p - left ... p + right

  // Forward; null is not wanted.
  float* out;                                 // (N, q, h, e)
  float *shift, *log_sum;                     // (N, h, q): a weight is exp(score - shift - log_sum)
  float *max_logit, *entropy, *distance;      // (N, h, q)
  Index top_k;                                // of the largest weights, n
  float* top_weights;                         // (N, h, q, n), the largest first
  int32_t* top_indices;                       // their keys; -1 where the weight is 0

  void (*yield)();  // called while an item waits for its turn

  // Packed operands of the heads of a wave, those of (N, g) from `first` on. Null is not packed.
  Index first;
  float *packed_k, *packed_v, *packed_q;

  // What the forward pass found, for sums of weights and backward.
  Operand<float> in_out, in_shift, in_log_sum;

  // Sums of weights; null is not wanted.
  float* received;                 // (N, h, k)
  Index query_tiles, key_tiles;    // i and j
  float* pooled;                   // (N, h, i, j)
  Index* pool_turns;               // (N, h): which block of keys may add to it next

  // Backward.
  Operand<float> dout;
  float *dq, *dk, *dv;  // (N, ...) as q, k, v
  Index splits;         // shares of the keys of one (N, g), each an item
  Index* turns;         // (N, h): which share may add to dq next
  // The gradient of a bias of pairs is (N or 1, h or 1, q, k): whatever shares it adds to it in
  // turn. Other biases are (N, h, q or 1, k or 1), and summed by the caller over what shares them.
  float* dbias;
  Layout dbias_at;
  const Index* earlier;  // (N,): how many sequences before share their gradient with this one
  Index* bias_turns;     // of a bias of pairs, for each span of keys and each tile of queries
};

// Items are independent, but for what is said; those of one (N, g) follow each other. Memory is
// aligned to 64 bytes, counted in floats, and allocated by the caller.
struct Kernels {
  const char* name;
  Index (*packed_k)(const Problem&);  // for one (N, g)
  Index (*packed_v)(const Problem&);
  Index (*packed_q)(const Problem&);
  void (*pack)(const Problem&, Index item);  // one (N, g)
  Index (*forward_items)(const Problem&);    // for one (N, g)
  Index (*forward_scratch)(const Problem&);  // for one thread
  void (*forward)(const Problem&, Index item, float* scratch);
  Index (*sum_items)(const Problem&);    // for one (N, g)
  Index (*sum_scratch)(const Problem&);  // for one thread
  void (*sums)(const Problem&, Index item, float* scratch);
  Index (*backward_scratch)(const Problem&);  // for one thread
  Index (*bias_turns)(const Problem&, Index numbers);  // for a gradient of so many numbers
  void (*backward)(const Problem&, Index item, float* scratch);  // (N, g) and share
};

}  // namespace attn
