// Sums of the finished weights: over the queries, what each key receives; over the tiles of a
// pooled map. They need the final normalizers, so scores are computed anew, by blocks of keys.
#pragma once

#include "scores.h"
#include "turns.h"

namespace attn {
namespace {

// The tile, of so many over so many tokens, that a token is in; and the first token of a tile.
ATTN_INLINE Index tile_of(Index token, Index tiles, Index tokens) {
  return ((token + 1) * tiles - 1) / tokens;
}
ATTN_INLINE Index start_of(Index tile, Index tiles, Index tokens) { return tile * tokens / tiles; }

Index sum_items(const Problem& p) { return Shape(p).group * (Shape(p).K / BC); }
Index sum_scratch(const Problem& p) {
  return 2 * BC * BR + round_up(p.query_tiles * least(BC, p.key_tiles), STEP);
}

// Add the weights that the queries from q0 on give to one tile of keys.
void add_tile(const Problem& p, Index q0, const F (&weights)[QV], float* sums) {
  alignas(64) float x[BR];
  for (int c = 0; c < QV; ++c) at(x + c * VL) = weights[c];
  const Index end = least(q0 + BR, p.queries);
  Index tile = tile_of(q0, p.query_tiles, p.queries);
  for (Index i = q0; i < end; ++tile) {
    float sum = 0;
    for (; i < least(end, start_of(tile + 1, p.query_tiles, p.queries)); ++i) sum += x[i - q0];
    sums[tile] += sum;
  }
}

// Add the sums of one block of keys, [tile of keys from `first` on][tile of queries], to those of
// its head. A tile may reach over blocks: they add in their order, and the last finishes the means.
void add_pooled(const Problem& p, Index bh, Index block, Index first, Index tiles,
                const float* sums) {
  const Index rows = p.query_tiles, columns = p.key_tiles;
  float* pooled = p.pooled + bh * rows * columns;
  wait_for(p, p.pool_turns + bh, block);
  if (!block) memset(pooled, 0, rows * columns * sizeof(float));
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < tiles; ++j) pooled[i * columns + first + j] += sums[j * rows + i];
  for (Index i = 0; (block + 1) * BC >= p.keys && i < rows; ++i)
    for (Index j = 0; j < columns; ++j)
      pooled[i * columns + j] /=
          float((start_of(i + 1, rows, p.queries) - start_of(i, rows, p.queries)) *
                (start_of(j + 1, columns, p.keys) - start_of(j, columns, p.keys)));
  end_turn(p.pool_turns + bh, block);
}

void sums(const Problem& p, Index item, float* scratch) {
  const Shape n(p);
  const Index blocks = n.K / BC, local = item / blocks, bh = p.first * n.group + local,
              b = bh / p.heads, h = bh % p.heads, k0 = item % blocks * BC;
  const float* keys = p.packed_k + local / n.group * packed_k(p);
  float *S = scratch, *pairs = S + BC * BR, *tiles = pairs + BC * BR;
  F received[BC] = {};
  const Index first = tile_of(k0, p.key_tiles, p.keys),
              last = tile_of(least(k0 + BC, p.keys) - 1, p.key_tiles, p.keys);
  if (p.pooled) memset(tiles, 0, (last - first + 1) * p.query_tiles * sizeof(float));
  for (Index q0 = 0; q0 < p.queries; q0 += BR) {
    const Tile t(p, b, h, q0, k0);
    if (t.count <= 0 || (has_pairs(p) && !read_pairs(p, t, pairs))) continue;
    scores(p, t, n.D, p.packed_q + (local * n.Q + q0) * n.D, keys, pairs, S, nullptr);
    alignas(64) float shift[BR], log_sum[BR];
    for (Index i = 0; i < BR; ++i) {
      const bool exists = q0 + i < p.queries;
      shift[i] = exists ? *p.in_shift.at(b, h, q0 + i) * LOG2E : 0;
      log_sum[i] = exists ? *p.in_log_sum.at(b, h, q0 + i) * LOG2E : INF;
    }
    F of_tile[QV] = {};
    Index tile = tile_of(t.k0, p.key_tiles, p.keys);
    for (Index j = 0; j < least(t.count, p.keys - t.k0); ++j) {
      if (p.pooled && t.k0 + j == start_of(tile + 1, p.key_tiles, p.keys)) {
        add_tile(p, q0, of_tile, tiles + (tile++ - first) * p.query_tiles);
        for (F& x : of_tile) x = F{};
      }
      F of_key = {};
      UNROLL for (int c = 0; c < QV; ++c) {
        const F w = exp2_of(at(S + j * BR + c * VL) - at(shift + c * VL) - at(log_sum + c * VL));
        of_key += w;
        of_tile[c] += w;
      }
      received[t.k0 - k0 + j] += of_key;
    }
    if (p.pooled) add_tile(p, q0, of_tile, tiles + (tile - first) * p.query_tiles);
  }
  for (Index j = 0; p.received && j < BC && k0 + j < p.keys; ++j)
    p.received[bh * p.keys + k0 + j] = sum_of(received[j]);
  if (p.pooled) add_pooled(p, bh, item % blocks, first, last - first + 1, tiles);
}

}  // namespace
}  // namespace attn
