// The handlers that XLA calls through its foreign-function interface.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "choice.h"
#include "operands.h"
#include "threads.h"

namespace attn {
namespace {

struct Free {
  void operator()(float* p) const { ::operator delete(p, std::align_val_t(64)); }
};
std::unique_ptr<float, Free> allocate(Index floats) {
  const auto bytes = std::max<Index>(floats, 16) * sizeof(float);
  void* p = ::operator new(bytes, std::align_val_t(64), std::nothrow);
  return std::unique_ptr<float, Free>(static_cast<float*>(p));
}

ffi::Error no_memory(Index floats) {
  return ffi::Error(ffi::ErrorCode::kResourceExhausted,
                    "attention: no memory for " + std::to_string(floats * sizeof(float) >> 20) +
                        " MiB of scratch");
}

// Pack the keys of as many heads as fit into 8 MiB, call work(item, scratch) for each of the `each`
// items of a head, and go on with the next heads in the same memory.
template <typename Work>
ffi::Error in_waves(ffi::ThreadPool& pool, Problem& p, Index each, Index scratch, bool values,
                    bool queries, const Work& work) {
  const Kernels& f = kernels();
  const Index heads = p.batch * p.key_heads, threads = std::max<Index>(pool.num_threads(), 1),
              nk = f.packed_k(p), nv = values ? f.packed_v(p) : 0,
              nq = queries ? f.packed_q(p) : 0, budget = (8 << 20) / sizeof(float);
  if (!heads) return ffi::Error::Success();
  const Index wave = std::clamp<Index>(budget / std::max<Index>(nk + nv, 1), 1, heads),
              floats = wave * (nk + nv + nq) + threads * scratch;
  const auto memory = allocate(floats);
  if (!memory) return no_memory(floats);
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
  return ffi::Error::Success();
}

template <typename Array>
auto wanted(Array& x) {
  return x->element_count() ? x->typed_data() : nullptr;
}

}  // namespace

ffi::Error forward(ffi::ThreadPool pool, Floats q, Floats k, Floats v, Bools mask, Bools key_mask,
                   Floats bias, Ints query_segments, Ints key_segments, Floats sinks, Ints offset,
                   Result out, Result shift, Result log_sum, Result max_logit, Result entropy,
                   Result distance, Result top_weights, IntResult top_indices, float scale,
                   float softcap, int64_t left, int64_t right) {
  const Sizes batch = leading(*shift, 2);
  Reader read(batch);
  Problem p = problem(read, product_of(batch), q, k, v, mask, key_mask, bias, query_segments,
                      key_segments, sinks, offset, {scale, softcap, left, right});
  p.out = out->typed_data(), p.shift = shift->typed_data(), p.log_sum = log_sum->typed_data();
  p.max_logit = wanted(max_logit), p.entropy = wanted(entropy), p.distance = wanted(distance);
  p.top_weights = wanted(top_weights), p.top_indices = wanted(top_indices);
  p.top_k = p.top_weights ? top_weights->dimensions().back() : 0;
  const Kernels& f = kernels();
  return in_waves(pool, p, f.forward_items(p), f.forward_scratch(p), true, false,
                  [&](Index item, float* scratch) { f.forward(p, item, scratch); });
}

ffi::Error sums(ffi::ThreadPool pool, Floats q, Floats k, Floats v, Bools mask, Bools key_mask,
                Floats bias, Ints query_segments, Ints key_segments, Floats sinks, Ints offset,
                Floats shift, Floats log_sum, Result received, Result pooled, float scale,
                float softcap, int64_t left, int64_t right) {
  const Sizes batch = leading(shift, 2);
  Reader read(batch);
  Problem p = problem(read, product_of(batch), q, k, v, mask, key_mask, bias, query_segments,
                      key_segments, sinks, offset, {scale, softcap, left, right});
  p.in_shift = read.required<float>(shift, 2), p.in_log_sum = read.required<float>(log_sum, 2);
  p.received = wanted(received), p.pooled = wanted(pooled);
  std::vector<Index> turns(p.batch * p.heads);
  p.pool_turns = turns.data(), p.yield = [] { std::this_thread::yield(); };
  if (p.pooled) {
    const auto tiles = pooled->dimensions().last(2);
    p.query_tiles = tiles[0], p.key_tiles = tiles[1];
  }
  const Kernels& f = kernels();
  return in_waves(pool, p, f.sum_items(p), f.sum_scratch(p), false, true,
                  [&](Index item, float* scratch) { f.sums(p, item, scratch); });
}

ffi::Error backward(ffi::ThreadPool pool, Floats q, Floats k, Floats v, Bools mask, Bools key_mask,
                    Floats bias, Ints query_segments, Ints key_segments, Floats sinks, Ints offset,
                    Floats out, Floats shift, Floats log_sum, Floats dout, Result dq, Result dk,
                    Result dv, Result dbias, float scale, float softcap, int64_t left, int64_t right) {
  const Kernels& f = kernels();
  const Sizes batch = leading(*dq, 3);
  Reader read(batch);
  Problem p = problem(read, product_of(batch), q, k, v, mask, key_mask, bias, query_segments,
                      key_segments, sinks, offset, {scale, softcap, left, right});
  p.in_out = read.required<float>(out, 3), p.dout = read.required<float>(dout, 3);
  p.in_shift = read.required<float>(shift, 2), p.in_log_sum = read.required<float>(log_sum, 2);
  p.dq = dq->typed_data(), p.dk = dk->typed_data(), p.dv = dv->typed_data();
  p.dbias = wanted(dbias);

  // Few heads are shared out by spans of keys, however many threads there are: the shares decide in
  // which order sums are rounded.
  const Index heads = p.batch * p.key_heads, threads = std::max<Index>(pool.num_threads(), 1),
              scratch = f.backward_scratch(p);
  if (!heads) {
    std::fill_n(dbias->typed_data(), dbias->element_count(), 0.f);
    return ffi::Error::Success();
  }
  p.splits = std::clamp<Index>(16 / heads, 1, p.keys / 1024 + 1);
  const Index floats = std::min(threads, heads * p.splits) * scratch;
  const auto memory = allocate(floats);
  if (!memory) return no_memory(floats);
  std::vector<Index> turns(p.batch * p.heads);
  p.turns = turns.data();
  std::vector<Index> bias_turns, earlier;
  if (p.dbias) {
    p.dbias_at = read.required<float>(*dbias, 3);
    bias_turns.resize(f.bias_turns(p, dbias->element_count()));
    for (Index b = 0; b < p.batch; ++b)
      earlier.push_back(std::count(p.dbias_at.batch, p.dbias_at.batch + b, p.dbias_at.batch[b]));
    p.bias_turns = bias_turns.data(), p.earlier = earlier.data();
  }
  p.yield = [] { std::this_thread::yield(); };
  parallel(pool, threads, heads * p.splits,
           [&](Index i, Index thread) { f.backward(p, i, memory.get() + thread * scratch); });
  return ffi::Error::Success();
}

// q, k, v, mask, key_mask, bias, query_segments, key_segments, sinks, offset
template <typename Binding>
auto with_operands(Binding binding) {
  return std::move(binding)
      .template Arg<Floats>()
      .template Arg<Floats>()
      .template Arg<Floats>()
      .template Arg<Bools>()
      .template Arg<Bools>()
      .template Arg<Floats>()
      .template Arg<Ints>()
      .template Arg<Ints>()
      .template Arg<Floats>()
      .template Arg<Ints>();
}

template <typename Binding>
auto with_options(Binding binding) {
  return std::move(binding)
      .template Attr<float>("scale")
      .template Attr<float>("softcap")
      .template Attr<int64_t>("left")
      .template Attr<int64_t>("right");
}

}  // namespace attn

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    attn_jax_forward, attn::forward,
    attn::with_options(attn::with_operands(attn::ffi::Ffi::Bind().Ctx<attn::ffi::ThreadPool>())
                           .Ret<attn::Floats>()
                           .Ret<attn::Floats>()
                           .Ret<attn::Floats>()
                           .Ret<attn::Floats>()
                           .Ret<attn::Floats>()
                           .Ret<attn::Floats>()
                           .Ret<attn::Floats>()
                           .Ret<attn::Ints>()));

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    attn_jax_sums, attn::sums,
    attn::with_options(attn::with_operands(attn::ffi::Ffi::Bind().Ctx<attn::ffi::ThreadPool>())
                           .Arg<attn::Floats>()
                           .Arg<attn::Floats>()
                           .Ret<attn::Floats>()
                           .Ret<attn::Floats>()));

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    attn_jax_backward, attn::backward,
    attn::with_options(attn::with_operands(attn::ffi::Ffi::Bind().Ctx<attn::ffi::ThreadPool>())
                           .Arg<attn::Floats>()
                           .Arg<attn::Floats>()
                           .Arg<attn::Floats>()
                           .Arg<attn::Floats>()
                           .Ret<attn::Floats>()
                           .Ret<attn::Floats>()
                           .Ret<attn::Floats>()
                           .Ret<attn::Floats>()));

extern "C" const char* attn_jax_isa() { return attn::kernels().name; }
