// Sums that several items add to: in a fixed order, so that they do not depend on chance. An item
// waits only for items before it, which some thread has begun.
#pragma once

#include "attention.h"

namespace attn {
namespace {

ATTN_INLINE void wait_for(const Problem& p, const Index* turn, Index number) {
  while (__atomic_load_n(turn, __ATOMIC_ACQUIRE) != number) p.yield();
}
ATTN_INLINE void end_turn(Index* turn, Index number) {
  __atomic_store_n(turn, number + 1, __ATOMIC_RELEASE);
}

}  // namespace
}  // namespace attn
