// Words instead of a tokenizer's subword tokens.

import { largest } from "./ranking.js";

// The mark of a piece that continues a word, in place of its tokenizer's; see labels.py.
const CONTINUES = /^·(?=.)/u;
const LISTED = 4;

/** Returns the index of the first piece of each word. */
export function wordStarts(tokens) {
  return [...tokens.keys()].filter((i) => i === 0 || !CONTINUES.test(tokens[i]));
}

export function wordTexts(tokens, starts) {
  const join = (pieces) => pieces.map((piece) => piece.replace(CONTINUES, "")).join("");
  return starts.map((start, i) => join(tokens.slice(start, starts[i + 1])));
}

/** A map between words: a word receives what its pieces receive, and attends as they do on average. */
export class WordMap {
  constructor(map, starts) {
    this.isHidden = (query, key) => pieces(starts.query, query, map.shape[0]).every((piece) =>
      pieces(starts.key, key, map.shape[1]).every((other) => map.isHidden?.(piece, other)));
    this.shape = [starts.query.length, starts.key.length];
    this.rows = starts.query.map((first, i) =>
      merge(map, first, starts.query[i + 1] ?? map.shape[0], starts.key));
    this.max = Math.max(...this.rows.map((row) => row[largest(row, 1)[0] ?? 0]));
  }

  row(query) {
    return this.rows[query];
  }

  column(key) {
    return Float32Array.from(this.rows, (row) => row[key]);
  }

  isExact() {
    return false;
  }

  top(query) {
    const row = this.rows[query];
    return largest(row, LISTED).map((key) => ({ key, weight: row[key] }));
  }
}

function pieces(starts, word, count) {
  const end = starts[word + 1] ?? count;
  return Array.from({ length: end - starts[word] }, (_, i) => starts[word] + i);
}

function merge(map, first, end, starts) {
  const merged = new Float32Array(starts.length);
  for (let query = first; query < end; query++) {
    const row = map.row(query);
    starts.forEach((start, word) => {
      const stop = starts[word + 1] ?? row.length;
      for (let key = start; key < stop; key++) merged[word] += row[key] / (end - first);
    });
  }
  return merged;
}
