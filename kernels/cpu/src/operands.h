// The operands of the handlers, as XLA gives them.
#pragma once

#include <deque>
#include <utility>
#include <vector>

#include "attention.h"
#include "xla/ffi/api/ffi.h"

namespace attn {

namespace ffi = xla::ffi;

using Floats = ffi::Buffer<ffi::F32>;
using Bools = ffi::Buffer<ffi::PRED>;
using Ints = ffi::Buffer<ffi::S32>;
using Result = ffi::ResultBuffer<ffi::F32>;
using IntResult = ffi::ResultBuffer<ffi::S32>;
using Sizes = std::vector<Index>;

// The axes before the last `inner` ones: those of `vmap`, and the batch.
template <typename Buffer>
Sizes leading(const Buffer& x, Index inner) {
  const auto n = x.dimensions();
  return Sizes(n.begin(), n.end() - inner);
}

inline Index product_of(const Sizes& sizes) {
  Index product = 1;
  for (Index size : sizes) product *= size;
  return product;
}

// Reads operands whose leading axes are those of the call, or of size one where they are shared.
class Reader {
 public:
  explicit Reader(Sizes batch) : batch_(std::move(batch)) {}

  template <typename T, typename Buffer>
  Operand<T> required(const Buffer& x, Index inner) {
    const auto n = x.dimensions();
    Operand<T> operand{};
    Index stride = 1;
    for (Index axis = inner - 1; axis >= 0; --axis) {
      const Index size = n[n.size() - inner + axis];
      operand.strides[axis] = size == 1 ? 0 : stride;
      stride *= size;
    }
    operand.batch = starts(leading(x, inner), stride);
    operand.data = static_cast<const T*>(x.untyped_data());
    return operand;
  }

  template <typename T, typename Buffer>
  Operand<T> optional(const Buffer& x, Index inner) {
    return x.element_count() ? required<T>(x, inner) : Operand<T>{};
  }

 private:
  const Index* starts(const Sizes& sizes, Index each) {
    tables_.emplace_back();
    Sizes& table = tables_.back();
    for (Index i = 0; i < product_of(batch_); ++i) {
      Index start = 0, stride = each, rest = i;
      for (Index axis = Index(sizes.size()) - 1; axis >= 0; --axis) {
        if (sizes[axis] > 1) start += rest % batch_[axis] * stride;
        rest /= batch_[axis];
        stride *= sizes[axis];
      }
      table.push_back(start);
    }
    return table.data();
  }

  Sizes batch_;
  std::deque<Sizes> tables_;
};

struct Options {
  float scale, softcap;
  Index left, right;
};

inline Problem problem(Reader& read, Index batch, const Floats& q, const Floats& k, const Floats& v,
                const Bools& mask, const Bools& key_mask, const Floats& bias,
                const Ints& query_segments, const Ints& key_segments, const Floats& sinks,
                const Ints& offset, const Options& options) {
  const auto n = q.dimensions().last(3), m = k.dimensions().last(3);
  Problem p{};
  p.batch = batch, p.queries = n[0], p.heads = n[1], p.dim = n[2];
  p.keys = m[0], p.key_heads = m[1], p.value_dim = v.dimensions().back();
  p.q = read.required<float>(q, 3), p.k = read.required<float>(k, 3);
  p.v = read.required<float>(v, 3);
  p.mask = read.optional<bool>(mask, 3), p.key_mask = read.optional<bool>(key_mask, 3);
  p.bias = read.optional<float>(bias, 3), p.sinks = read.optional<float>(sinks, 1);
  p.query_segments = read.optional<int32_t>(query_segments, 2);
  p.key_segments = read.optional<int32_t>(key_segments, 2);
  p.offset = read.required<int32_t>(offset, 1);
  p.scale = options.scale, p.softcap = options.softcap;
  p.left = options.left, p.right = options.right;
  return p;
}

}  // namespace attn
