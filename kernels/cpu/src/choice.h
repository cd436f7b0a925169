#pragma once

#include "attention.h"

namespace attn {

// The kernels for this processor, or those that ATTN_JAX_CPU_ISA names if it can run them.
const Kernels& kernels();

}  // namespace attn
