// Maps in tiles: tile i of `tiles` spans the tokens from floor(i * tokens / tiles) to the start of
// the next tile.

export const tileStart = (tile, tokens, tiles) => Math.floor((tile * tokens) / tiles);

export const tileOf = (token, tokens, tiles) => Math.floor(((token + 1) * tiles - 1) / tokens);

/** Returns a token in the middle of a tile. */
export function tileMiddle(tile, tokens, tiles) {
  return (tileStart(tile, tokens, tiles) + tileStart(tile + 1, tokens, tiles) - 1) >> 1;
}

/** Returns the names of the tiles: the tokens that they span. */
export function tileNames(tokens, tiles) {
  return Array.from({ length: tiles }, (_, tile) => {
    const [first, end] = [tile, tile + 1].map((each) => tileStart(each, tokens, tiles));
    return end - first > 1 ? `${first}–${end - 1}` : String(first);
  });
}

/** The mean weight of each tile, as a map that can be drawn. */
export class TileMap {
  constructor(values, shape) {
    this.values = values;
    this.shape = shape;
    // Without the quantile, a few tiles on the diagonal or at a sink would leave the others white.
    const sorted = values.slice().sort();
    this.max = sorted[Math.floor(0.999 * (sorted.length - 1))] || sorted.at(-1);
  }

  row(query) {
    return this.values.subarray(query * this.shape[1], (query + 1) * this.shape[1]);
  }

  weight(query, key) {
    return this.values[query * this.shape[1] + key];
  }

  isExact() {
    return false;
  }

  top(query) {
    return [{ weight: this.row(query).reduce((a, b) => Math.max(a, b), 0) }];
  }
}
