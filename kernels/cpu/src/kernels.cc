// Attention with the scores never in memory, for one instruction set. CMake compiles this unit once
// for each, with ATTN_ISA as its name.
#include "backward.h"
#include "forward.h"
#include "sums.h"

namespace attn {

#define ATTN_STRING_OF(x) #x
#define ATTN_STRING(x) ATTN_STRING_OF(x)

extern const Kernels ATTN_ISA;
const Kernels ATTN_ISA = {ATTN_STRING(ATTN_ISA), packed_k,      packed_v,        packed_q,
                          pack,                  forward_items, forward_scratch, forward,
                          sum_items,             sum_scratch,   sums,
                          backward_scratch,      bias_turns,    backward};

}  // namespace attn
