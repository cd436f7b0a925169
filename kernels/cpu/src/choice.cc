// The choice of kernels, by what the processor has or what ATTN_JAX_CPU_ISA asks for.
#include "choice.h"

#include <cstdlib>
#include <string>

namespace attn {

#if defined(__x86_64__) || defined(_M_X64)
extern const Kernels avx2, avx512;
#endif
#if defined(__aarch64__)
extern const Kernels neon;
#else
extern const Kernels generic;
#endif

static const Kernels& choose([[maybe_unused]] const std::string& name) {
#if defined(__x86_64__) || defined(_M_X64)
  const auto may_be = [&](const Kernels& k) { return name.empty() || name == k.name; };
  __builtin_cpu_init();
  const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
  if (fma && wide && may_be(avx512)) return avx512;
  if (fma && may_be(avx2)) return avx2;
#endif
#if defined(__aarch64__)
  return neon;
#else
  return generic;
#endif
}

const Kernels& kernels() {
  static const Kernels& chosen = [&]() -> const Kernels& {
    const char* wish = std::getenv("ATTN_JAX_CPU_ISA");
    return choose(wish ? wish : "");
  }();
  return chosen;
}

}  // namespace attn
