// Maps of weights: of one head, and the mean of several.

import { joinPlanes } from "./bytes.js";

const LEVELS = 128;
// A code and a key are sorted together as one number of 32 bits.
const MAX_KEYS = 2 ** 24;

/** A decoded map: the `topK` largest weights of each row are exact, others within 1/255. */
export class DecodedMap {
  constructor(bits, rest, [queries, keys], topK) {
    this.shape = [queries, keys];
    this.topK = topK;
    const size = 4 * queries * topK;
    const end = rest.length - 2 * size;
    this.codes = spread(bits, rest, queries * keys);
    this.topWeights = new Float32Array(joinPlanes(rest.subarray(end, end + size), 4));
    this.topKeys = this.keysAt(new Uint32Array(joinPlanes(rest.subarray(end + size), 4)));
    this.max = this.topWeights.reduce((a, b) => Math.max(a, b), 0);
  }

  // The keys with these ranks in each row, when its keys are sorted by code in descending order.
  keysAt(ranks) {
    const [queries, keys] = this.shape;
    const order = new Uint32Array(keys);
    const result = new Uint32Array(ranks.length);
    for (let query = 0; query < queries; query++) {
      for (let key = 0; key < keys; key++) {
        order[key] = (LEVELS - this.codes[query * keys + key]) * MAX_KEYS + key;
      }
      order.sort();
      for (let i = query * this.topK; i < (query + 1) * this.topK; i++) {
        result[i] = order[ranks[i]] % MAX_KEYS;
      }
    }
    return result;
  }

  /** All weights of a query. */
  row(query) {
    const keys = this.shape[1];
    const scale = this.topWeights[query * this.topK] / LEVELS;
    const row = Float32Array.from(
      this.codes.subarray(query * keys, (query + 1) * keys), (code) => code * scale);
    for (const { key, weight } of this.top(query)) row[key] = weight;
    return row;
  }

  /** The weights of all queries for a key. */
  column(key) {
    return Float32Array.from({ length: this.shape[0] }, (_, query) => this.weight(query, key));
  }

  weight(query, key) {
    const from = query * this.topK;
    for (let i = from; i < from + this.topK; i++) {
      if (this.topKeys[i] === key) return this.topWeights[i];
    }
    return this.codes[query * this.shape[1] + key] * (this.topWeights[from] / LEVELS);
  }

  isExact(query, key) {
    return this.top(query).some((entry) => entry.key === key);
  }

  /** The exact largest weights of a query with their keys, in descending order. */
  top(query) {
    return Array.from({ length: this.topK }, (_, i) => ({
      key: this.topKeys[query * this.topK + i],
      weight: this.topWeights[query * this.topK + i],
    }));
  }
}

function spread(bits, codes, count) {
  const all = new Uint8Array(count);
  let next = 0;
  for (let i = 0; i < count; i++) {
    if (bits[i >> 3] & (128 >> (i & 7))) all[i] = codes[next++];
  }
  return all;
}

/** The mean of maps of one shape, with the interface of a map; none of its weights is exact. */
export class MeanMap {
  constructor(maps) {
    this.maps = maps;
    this.shape = maps[0].shape;
    this.topK = maps[0].topK;
    const keys = this.shape[1];
    this.values = new Float32Array(this.shape[0] * keys);
    for (let query = 0; query < this.shape[0]; query++) {
      for (const map of maps) {
        const row = map.row(query);
        for (let key = 0; key < keys; key++) {
          this.values[query * keys + key] += row[key] / maps.length;
        }
      }
    }
    this.max = this.values.reduce((a, b) => Math.max(a, b), 0);
  }

  row(query) {
    return this.values.slice(query * this.shape[1], (query + 1) * this.shape[1]);
  }

  column(key) {
    return Float32Array.from({ length: this.shape[0] }, (_, query) => this.weight(query, key));
  }

  weight(query, key) {
    return this.values[query * this.shape[1] + key];
  }

  isExact() {
    return false;
  }

  top(query) {
    const row = this.row(query);
    const keys = Array.from(row.keys()).sort((a, b) => row[b] - row[a]).slice(0, this.topK);
    return keys.map((key) => ({ key, weight: row[key] }));
  }
}
