// Random problems for the sanitizers: operands and results have memory of just their sizes. The
// passes run on one thread and on three, whose results must be the same bits; with `float64` they
// are compared with that too.
//
//     random_problems NUMBER SEED [float64]
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <initializer_list>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "../src/choice.h"
#include "../src/run.h"
#include "reference.h"

namespace attn {
namespace {

std::mt19937 rng;

Index pick(std::initializer_list<Index> from) { return from.begin()[rng() % from.size()]; }
bool maybe() { return rng() % 2; }

struct Threads {
  explicit Threads(Index number) : number(number) {}
  ~Threads() {
    for (std::thread& thread : running) thread.join();
  }
  Index num_threads() const { return number; }
  template <typename Work>
  void Schedule(Work&& work) {
    running.emplace_back(std::forward<Work>(work));
  }

  Index number;
  std::vector<std::thread> running;
};

// The arrays of one problem.
struct Arrays {
  template <typename T>
  T* array(Index size) {
    memory.emplace_back(std::malloc(size * sizeof(T) + !size), std::free);
    return static_cast<T*>(memory.back().get());
  }

  // An operand of so many sequences, or of one that all share.
  template <typename T, typename Draw>
  Operand<T> operand(Index batch, bool shared, std::initializer_list<Index> sizes, Draw draw) {
    Operand<T> x{};
    Index stride = 1;
    for (Index axis = Index(sizes.size()) - 1; axis >= 0; --axis) {
      const Index size = sizes.begin()[axis];
      x.strides[axis] = size == 1 ? 0 : stride;
      stride *= size;
    }
    T* data = array<T>((shared ? 1 : batch) * stride);
    for (Index i = 0; i < (shared ? 1 : batch) * stride; ++i) data[i] = draw();
    Index* starts = array<Index>(batch);
    for (Index b = 0; b < batch; ++b) starts[b] = shared ? 0 : b * stride;
    x.data = data, x.batch = starts;
    return x;
  }

  std::deque<std::unique_ptr<void, decltype(&std::free)>> memory;
};

float number() { return float(rng() % 2001) / 500 - 2; }

Problem draw(Arrays& of) {
  Problem p{};
  const Index N = p.batch = pick({1, 2, 3}), g = p.key_heads = pick({1, 2}),
              h = p.heads = g * pick({1, 3}), q = p.queries = pick({0, 1, 7, 49, 131, 200}),
              k = p.keys = pick({0, 1, 9, 127, 130, 300, 1100}), d = p.dim = pick({1, 5, 32}),
              e = p.value_dim = pick({0, 3, 17, 32});
  const auto mask = [] { return rng() % 3 > 0; };
  const auto segment = [] { return int32_t(rng() % 3); };
  p.q = of.operand<float>(N, false, {q, h, d}, number);
  p.k = of.operand<float>(N, false, {k, g, d}, number);
  p.v = of.operand<float>(N, false, {k, g, e}, number);
  if (maybe()) {
    const Index x = pick({1, h}), y = pick({1, q}), z = pick({1, k});
    p.mask = of.operand<bool>(N, maybe(), {x, y, z}, mask);
  }
  if (maybe()) p.key_mask = of.operand<bool>(N, maybe(), {1, 1, k}, mask);
  if (maybe()) {
    p.query_segments = of.operand<int32_t>(N, maybe(), {1, q}, segment);
    p.key_segments = of.operand<int32_t>(N, maybe(), {1, k}, segment);
  }
  if (maybe()) p.sinks = of.operand<float>(N, maybe(), {h}, number);
  p.offset = of.operand<int32_t>(N, maybe(), {1}, [] { return int32_t(rng() % 100) - 40; });
  p.scale = 0.3f, p.softcap = maybe() ? 2.f : 0.f;
  p.left = pick({Index(1) << 40, 30}), p.right = pick({Index(1) << 40, 0});
  return p;
}

// What a pass stores: each array with its size, to compare.
using Results = std::vector<std::vector<float>>;
struct Stored {
  float* take(Index size) {
    results.emplace_back(size, -1.f);
    return results.back().data();
  }
  Results results;
};

// A result as the operand of the next pass.
Operand<float> again(Arrays& of, const float* from, Index batch,
                     std::initializer_list<Index> sizes) {
  return of.operand<float>(batch, false, sizes, [&] { return *from++; });
}

Results run(Problem p, Arrays& of, Index bias_numbers, const Operand<float>& dout, Index threads) {
  const Index N = p.batch, h = p.heads, g = p.key_heads, q = p.queries, k = p.keys;
  Threads pool(threads);
  Stored store;
  p.out = store.take(N * q * h * p.value_dim);
  p.shift = store.take(N * h * q), p.log_sum = store.take(N * h * q);
  p.max_logit = store.take(N * h * q), p.entropy = store.take(N * h * q);
  p.distance = store.take(N * h * q);
  p.top_weights = store.take(N * h * q * p.top_k);
  std::vector<int32_t> keys(N * h * q * p.top_k);
  p.top_indices = keys.data();
  Index lacking = run_forward(pool, kernels(), p);
  store.results.emplace_back(keys.begin(), keys.end());

  p.in_out = again(of, p.out, N, {q, h, p.value_dim});
  p.in_shift = again(of, p.shift, N, {h, q}), p.in_log_sum = again(of, p.log_sum, N, {h, q});
  p.received = store.take(N * h * k);
  if (q && k) p.pooled = store.take(N * h * p.query_tiles * p.key_tiles);
  p.first = 0;
  lacking += run_sums(pool, kernels(), p);

  p.dout = dout, p.first = 0;
  p.dq = store.take(N * q * h * p.dim), p.dk = store.take(N * k * g * p.dim);
  p.dv = store.take(N * k * g * p.value_dim);
  if (bias_numbers) p.dbias = store.take(bias_numbers);
  lacking += run_backward(pool, kernels(), p, bias_numbers);
  if (lacking) std::abort();
  return store.results;
}

// The largest error relative to max(1, |expected|), or to the largest of the numbers if they are sums
// whose terms cancel.
double error(const std::vector<float>& actual, const Doubles& expected, bool cancels = false) {
  if (actual.size() != expected.size()) return INFINITY;
  double size = 1, largest = 0;
  for (double x : expected)
    if (cancels) size = std::max(size, std::abs(x));
  for (size_t i = 0; i < actual.size(); ++i) {
    const double x = actual[i], y = expected[i];
    if (x == y) continue;
    const double apart = std::abs(x - y) / std::max(size, std::abs(y));
    largest = apart <= largest ? largest : apart;  // a NaN is taken
  }
  return largest;
}

double error(const Results& found, const Reference& expected) {
  // Their order is that of `run`.
  auto next = found.begin();
  std::vector<double> errors{error(*next++, expected.out)};
  std::vector<float> log_normalizer = *next++;
  for (size_t i = 0; i < log_normalizer.size(); ++i)
    log_normalizer[i] = (*next)[i] == INFINITY ? -INFINITY : log_normalizer[i] + (*next)[i];
  errors.push_back(error(log_normalizer, expected.log_normalizer));
  for (const Doubles* x : {&expected.max_logit, &expected.entropy, &expected.distance, &expected.top})
    errors.push_back(error(*++next, *x));
  ++next;  // the keys of the largest weights
  errors.push_back(error(*++next, expected.received));
  if (!expected.pooled.empty()) errors.push_back(error(*++next, expected.pooled));
  for (const Doubles* x : {&expected.dq, &expected.dk, &expected.dv})
    errors.push_back(error(*++next, *x, true));
  if (!expected.dbias.empty()) errors.push_back(error(*++next, expected.dbias, true));
  double largest = 0;
  for (double e : errors) largest = e <= largest ? largest : e;
  return largest;
}

// The result is added to `worst`, the largest error so far; null: there is no comparison.
int check(int index, double* worst) {
  Arrays of;
  Problem p = draw(of);
  const Index N = p.batch, h = p.heads, q = p.queries, k = p.keys;
  p.top_k = std::min<Index>(k, pick({1, 8}));
  p.query_tiles = std::min<Index>(q, pick({1, 5, 128}));
  p.key_tiles = std::min<Index>(k, pick({2, 128}));
  Index bias_numbers = 0;
  if (q && k) {
    const Index x = pick({1, h}), y = pick({1, q, q}), z = pick({1, k, k});
    const bool shared = maybe(), of_pairs = y > 1 && z > 1;
    p.bias = of.operand<float>(N, shared, {x, y, z}, number);
    const Operand<float> gradient =
        of.operand<float>(N, of_pairs && shared, {of_pairs ? x : h, y, z}, number);
    p.dbias_at = gradient;
    bias_numbers = (of_pairs && shared ? 1 : N) * (of_pairs ? x : h) * y * z;
  }
  const auto dout = of.operand<float>(N, false, {q, h, p.value_dim}, number);
  const Results found = run(p, of, bias_numbers, dout, 1);
  const double apart = worst ? error(found, Reference(p, dout, bias_numbers)) : 0;
  if (worst && !(apart <= *worst)) *worst = apart;
  // A NaN would not equal itself.
  if (found == run(p, of, bias_numbers, dout, 3) && apart <= 1e-5) return 0;
  std::printf("problem %d: three threads compute something else, or the error is %g\n", index, apart);
  return 1;
}

}  // namespace
}  // namespace attn

int main(int count, char** arguments) {
  int wrong = 0;
  double worst = 0;
  attn::rng.seed(std::atoi(arguments[2]));
  for (int i = 0; i < std::atoi(arguments[1]); ++i)
    wrong += attn::check(i, count > 3 ? &worst : nullptr);
  std::printf("%s: %d of %s problems are wrong; the largest error is %.1e\n", attn::kernels().name,
              wrong, arguments[1], worst);
  return wrong != 0;
}
