// Maps as the page shows them: without their hidden cells, or weighted by captured norms.

import { say } from "./language.js";
import { largest } from "./ranking.js";

/** The pairs of sentences between which attention is shown. */
export const PAIRS = { "": () => say`all`, aa: () => "A → A", ab: () => "A → B", ba: () => "B → A", bb: () => "B → B" };

/** The weightings that captured values make possible, by name. */
export const WEIGHTINGS = {
  "": () => say`as they are`, value: () => say`× norm of the value`,
  residual: () => say`with the residual` };

/** Returns a function that tells the cells outside a pair of sentences, or null. */
export function outsidePair(pairs, starts) {
  if (!pairs || !starts) return null;
  const sides = [...pairs].map((sentence) => sentence === "b");
  return (query, key) =>
    (query >= starts[0]) !== sides[0] || (key >= starts[1]) !== sides[1];
}

/** Returns a function from a query and its weights to new ones, each row still summing to one. */
export function weighting(kind, norms, share) {
  if (kind === "value") {
    return (query, row) => {
      const products = row.map((weight, key) => weight * norms[key]);
      const sum = products.reduce((a, b) => a + b, 0) || 1;
      return products.map((product) => product / sum);
    };
  }
  return (query, row) => row.map((weight, key) =>
    share[query] * weight + (key === query ? 1 - share[query] : 0));
}

/** A map with hidden cells, `isHidden(query, key)`, or with other weights, `weigh(query, row)`. */
export class ShownMap {
  constructor(base, { isHidden = null, weigh = null, changes = true }) {
    Object.assign(this, { base, weigh, changes, shape: base.shape, topK: base.topK });
    this.hides = isHidden !== null;
    this.isHidden = isHidden ?? (() => false);
    this.rows = [];
    this.max = changes ? this.largest() : base.max;
  }

  /** The maps that this one is the mean of, if it is a mean. */
  get maps() {
    return this.base.maps;
  }

  largest() {
    let max = 0;
    for (let query = 0; query < this.shape[0]; query++) {
      for (const weight of this.row(query)) max = Math.max(max, weight);
    }
    return max;
  }

  row(query) {
    if (!this.rows[query]) {
      const row = this.base.row(query);
      const shown = row.map((weight, key) => (this.isHidden(query, key) ? 0 : weight));
      this.rows[query] = this.weigh ? this.weigh(query, shown) : shown;
    }
    return this.rows[query];
  }

  column(key) {
    return Float32Array.from({ length: this.shape[0] }, (_, query) => this.row(query)[key]);
  }

  weight(query, key) {
    return this.row(query)[key];
  }

  isExact(query, key) {
    return !this.weigh && this.base.isExact(query, key);
  }

  top(query) {
    if (!this.changes) return this.base.top(query);
    const row = this.row(query);
    const keys = largest(row, this.topK);
    return keys.length ? keys.map((key) => ({ key, weight: row[key] })) : [{ key: 0, weight: 0 }];
  }
}
