// Work shared between the calling thread and a pool: XLA's own.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "attention.h"

namespace attn {

// Call work(item, thread) for all items, which are claimed in order by the caller and by helpers.
// The caller waits only for items that some thread has begun: if the pool is busy or blocked, the
// caller does all the work, and helpers that come late find none. So it cannot deadlock, even where
// the caller is itself a thread of that pool; to wait for the helpers to come could.
template <typename Pool, typename Work>
void parallel(Pool& pool, Index threads, Index items, const Work& work) {
  struct State {
    std::atomic<Index> next{0}, done{0}, thread{0};
  };
  auto state = std::make_shared<State>();
  auto loop = [state, items, &work] {  // touches `work` only while the caller waits
    const Index thread = state->thread.fetch_add(1);
    for (Index i; (i = state->next.fetch_add(1)) < items; state->done.fetch_add(1)) work(i, thread);
  };
  // The pool takes a temporary only.
  for (Index i = 1; i < std::min(threads, items); ++i) pool.Schedule(decltype(loop)(loop));
  loop();
  while (state->done.load() < items) std::this_thread::yield();
}

}  // namespace attn
