// The passes over all heads, shared out to threads. Each returns how many floats of scratch there
// was no memory for; 0 if it has run.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "threads.h"

namespace attn {

struct Free {
  void operator()(float* p) const { ::operator delete(p, std::align_val_t(64)); }
};
inline std::unique_ptr<float, Free> allocate(Index floats) {
  const auto bytes = std::max<Index>(floats, 16) * sizeof(float);
  void* p = ::operator new(bytes, std::align_val_t(64), std::nothrow);
  return std::unique_ptr<float, Free>(static_cast<float*>(p));
}

// Pack the keys of as many heads as fit into 8 MiB, call work(item, scratch) for each of the `each`
// items of a head, and go on with the next heads in the same memory.
template <typename Pool, typename Work>
Index in_waves(Pool& pool, const Kernels& f, Problem& p, Index each, Index scratch, bool values,
               bool queries, const Work& work) {
  const Index heads = p.batch * p.key_heads, threads = std::max<Index>(pool.num_threads(), 1),
              nk = f.packed_k(p), nv = values ? f.packed_v(p) : 0,
              nq = queries ? f.packed_q(p) : 0, budget = (8 << 20) / sizeof(float);
  if (!heads) return 0;
  const Index wave = std::clamp<Index>(budget / std::max<Index>(nk + nv, 1), 1, heads),
              floats = wave * (nk + nv + nq) + threads * scratch;
  const auto memory = allocate(floats);
  if (!memory) return floats;
  p.packed_k = memory.get();
  p.packed_v = values ? p.packed_k + wave * nk : nullptr;
  p.packed_q = queries ? p.packed_k + wave * (nk + nv) : nullptr;
  float* const rest = p.packed_k + wave * (nk + nv + nq);
  for (; p.first < heads; p.first += wave) {
    const Index now = std::min(wave, heads - p.first);
    std::vector<std::atomic<bool>> packed(now);
    parallel(pool, threads, now * (1 + each), [&](Index i, Index thread) {
      if (i < now) {
        f.pack(p, i);
        packed[i] = true;
        return;
      }
      // Items are claimed in order: some thread has begun to pack these keys.
      while (!packed[(i - now) / each]) std::this_thread::yield();
      work(i - now, rest + thread * scratch);
    });
  }
  return 0;
}

template <typename Pool>
Index run_forward(Pool& pool, const Kernels& f, Problem& p) {
  return in_waves(pool, f, p, f.forward_items(p), f.forward_scratch(p), true, false,
                  [&](Index item, float* scratch) { f.forward(p, item, scratch); });
}

template <typename Pool>
Index run_sums(Pool& pool, const Kernels& f, Problem& p) {
  std::vector<Index> turns(p.batch * p.heads);
  p.pool_turns = turns.data(), p.yield = [] { std::this_thread::yield(); };
  return in_waves(pool, f, p, f.sum_items(p), f.sum_scratch(p), false, true,
                  [&](Index item, float* scratch) { f.sums(p, item, scratch); });
}

// The gradient of the bias has so many numbers.
template <typename Pool>
Index run_backward(Pool& pool, const Kernels& f, Problem& p, Index numbers) {
  // Few heads are shared out by spans of keys, however many threads there are: the shares decide in
  // which order sums are rounded.
  const Index heads = p.batch * p.key_heads, threads = std::max<Index>(pool.num_threads(), 1),
              scratch = f.backward_scratch(p);
  if (!heads) {
    std::fill_n(p.dbias, numbers, 0.f);
    return 0;
  }
  p.splits = std::clamp<Index>(16 / heads, 1, p.keys / 1024 + 1);
  const Index floats = std::min(threads, heads * p.splits) * scratch;
  const auto memory = allocate(floats);
  if (!memory) return floats;
  std::vector<Index> turns(p.batch * p.heads), bias_turns, earlier;
  p.turns = turns.data(), p.yield = [] { std::this_thread::yield(); };
  if (p.dbias) {
    bias_turns.resize(f.bias_turns(p, numbers));
    const Index* starts = p.dbias_at.batch;
    for (Index b = 0; b < p.batch; ++b)
      earlier.push_back(std::count(starts, starts + b, starts[b]));
    p.bias_turns = bias_turns.data(), p.earlier = earlier.data();
  }
  parallel(pool, threads, heads * p.splits,
           [&](Index i, Index thread) { f.backward(p, i, memory.get() + thread * scratch); });
  return 0;
}

}  // namespace attn
