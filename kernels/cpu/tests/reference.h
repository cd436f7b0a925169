// Attention and all that the kernels compute of it, in float64, pair by pair.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "../src/attention.h"

namespace attn {

using Doubles = std::vector<double>;

// Results in the order in which `run` of random_problems.cc stores those of the kernels.
struct Reference {
  Doubles out, log_normalizer, max_logit, entropy, distance, top, received, pooled, dq, dk, dv, dbias;

  Reference(const Problem& p, const Operand<float>& dout, Index bias_numbers)
      : out(p.batch * p.queries * p.heads * p.value_dim),
        received(p.batch * p.heads * p.keys),
        pooled(p.queries && p.keys ? p.batch * p.heads * p.query_tiles * p.key_tiles : 0),
        dq(p.batch * p.queries * p.heads * p.dim),
        dk(p.batch * p.keys * p.key_heads * p.dim),
        dv(p.batch * p.keys * p.key_heads * p.value_dim),
        dbias(bias_numbers) {
    for (Index b = 0; b < p.batch; ++b)
      for (Index h = 0; h < p.heads; ++h)
        for (Index i = 0; i < p.queries; ++i) add_query(p, dout, b, h, i);
  }

 private:
  static bool sees(const Problem& p, Index b, Index h, Index i, Index j) {
    const Index position = i + *p.offset.at(b);
    return j >= position - p.left && j <= position + p.right &&
           (!p.mask.data || *p.mask.at(b, h, i, j)) &&
           (!p.key_mask.data || *p.key_mask.at(b, h, i, j)) &&
           (!p.query_segments.data ||
            *p.query_segments.at(b, 0, i) == *p.key_segments.at(b, 0, j));
  }

  static Index tile_of(Index token, Index tiles, Index tokens) {
    Index tile = 0;
    while ((tile + 1) * tokens / tiles <= token) ++tile;
    return tile;
  }

  static Index size_of(Index tile, Index tiles, Index tokens) {
    return (tile + 1) * tokens / tiles - tile * tokens / tiles;
  }

  void add_query(const Problem& p, const Operand<float>& dout, Index b, Index h, Index i) {
    const Index g = h / (p.heads / p.key_heads), k = p.keys;
    Doubles score(k, -INFINITY), slope(k, 1), weight(k), of_weight(k);
    for (Index j = 0; j < k; ++j) {
      if (!sees(p, b, h, i, j)) continue;
      double s = 0;
      for (Index d = 0; d < p.dim; ++d) s += double(p.q.at(b, i, h)[d]) * p.k.at(b, j, g)[d];
      s *= p.scale;
      if (p.softcap > 0) {
        const double tanh = std::tanh(s / p.softcap);
        s = tanh * p.softcap, slope[j] = 1 - tanh * tanh;
      }
      score[j] = s + (p.bias.data ? *p.bias.at(b, h, i, j) : 0);
    }
    const double largest = k ? *std::max_element(score.begin(), score.end()) : -INFINITY;
    double total = p.sinks.data ? std::exp(double(*p.sinks.at(b, h))) : 0;
    for (double s : score) total += std::exp(s);

    double entropy_sum = 0, distance_sum = 0, mean = 0;
    for (Index j = 0; j < k; ++j) {
      const double w = weight[j] = total > 0 ? std::exp(score[j]) / total : 0;
      if (w > 0) entropy_sum -= w * std::log(w);
      distance_sum += w * std::abs(double(i + *p.offset.at(b) - j));
      received[(b * p.heads + h) * k + j] += w;
      if (!pooled.empty()) {
        const Index y = tile_of(i, p.query_tiles, p.queries), x = tile_of(j, p.key_tiles, k);
        pooled[((b * p.heads + h) * p.query_tiles + y) * p.key_tiles + x] +=
            w / double(size_of(y, p.query_tiles, p.queries) * size_of(x, p.key_tiles, k));
      }
      for (Index e = 0; e < p.value_dim; ++e) {
        const double v = p.v.at(b, j, g)[e], toward = dout.at(b, i, h)[e];
        out[((b * p.queries + i) * p.heads + h) * p.value_dim + e] += w * v;
        of_weight[j] += toward * v;
        dv[((b * k + j) * p.key_heads + g) * p.value_dim + e] += w * toward;
      }
      mean += w * of_weight[j];
    }
    log_normalizer.push_back(std::log(total)), max_logit.push_back(largest);
    entropy.push_back(entropy_sum), distance.push_back(distance_sum);

    for (Index j = 0; j < k; ++j) {
      double of_score = weight[j] * (of_weight[j] - mean);
      if (!dbias.empty()) dbias[p.dbias_at.place(b, h, i, j)] += of_score;
      of_score *= slope[j] * p.scale;
      for (Index d = 0; d < p.dim; ++d) {
        dq[((b * p.queries + i) * p.heads + h) * p.dim + d] += of_score * p.k.at(b, j, g)[d];
        dk[((b * k + j) * p.key_heads + g) * p.dim + d] += of_score * p.q.at(b, i, h)[d];
      }
    }
    std::sort(weight.begin(), weight.end(), std::greater<double>());
    top.insert(top.end(), weight.begin(), weight.begin() + p.top_k);
  }
};

}  // namespace attn
