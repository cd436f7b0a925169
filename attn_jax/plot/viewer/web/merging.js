// Words instead of a tokenizer's subword tokens.

import { largest } from "./ranking.js";

// Marks of tokenizers for a piece that continues a word, or that begins one.
const CONTINUES = /^##./u;
const BEGINS = /^[ \u2581\u0120\u010a]/u;
const LISTED = 4;

/** Returns the index of the first piece of each word. */
export function wordStarts(tokens) {
  const marked = tokens.some((token) => BEGINS.test(token));
  const begins = (token) => (marked ? BEGINS.test(token) : !CONTINUES.test(token));
  return [...tokens.keys()].filter((i) => i === 0 || begins(tokens[i]));
}

export function wordTexts(tokens, starts) {
  const join = (pieces) =>
    pieces.map((piece, i) => (i ? piece.replace(/^##/u, "") : piece)).join("");
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
