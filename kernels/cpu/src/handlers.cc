// The handlers that XLA calls through its foreign-function interface.
#include <string>

#include "choice.h"
#include "operands.h"
#include "run.h"

namespace attn {
namespace {

// Of so much scratch; 0 is none that was lacking.
ffi::Error no_memory(Index floats) {
  if (!floats) return ffi::Error::Success();
  return ffi::Error(ffi::ErrorCode::kResourceExhausted,
                    "attention: no memory for " + std::to_string(floats * sizeof(float) >> 20) +
                        " MiB of scratch");
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
  return no_memory(run_forward(pool, kernels(), p));
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
  if (p.pooled) {
    const auto tiles = pooled->dimensions().last(2);
    p.query_tiles = tiles[0], p.key_tiles = tiles[1];
  }
  return no_memory(run_sums(pool, kernels(), p));
}

ffi::Error backward(ffi::ThreadPool pool, Floats q, Floats k, Floats v, Bools mask, Bools key_mask,
                    Floats bias, Ints query_segments, Ints key_segments, Floats sinks, Ints offset,
                    Floats out, Floats shift, Floats log_sum, Floats dout, Result dq, Result dk,
                    Result dv, Result dbias, float scale, float softcap, int64_t left,
                    int64_t right) {
  const Sizes batch = leading(*dq, 3);
  Reader read(batch);
  Problem p = problem(read, product_of(batch), q, k, v, mask, key_mask, bias, query_segments,
                      key_segments, sinks, offset, {scale, softcap, left, right});
  p.in_out = read.required<float>(out, 3), p.dout = read.required<float>(dout, 3);
  p.in_shift = read.required<float>(shift, 2), p.in_log_sum = read.required<float>(log_sum, 2);
  p.dq = dq->typed_data(), p.dk = dk->typed_data(), p.dv = dv->typed_data();
  p.dbias = wanted(dbias);
  if (p.dbias) p.dbias_at = read.required<float>(*dbias, 3);
  return no_memory(run_backward(pool, kernels(), p, dbias->element_count()));
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
