// Summaries of long sequences, each array decompressed on first use.

import { inflate, joinPlanes } from "./bytes.js";

/** Returns numbers; the last code marks a missing one. */
export async function readLine({ blob, low, step }, textOf) {
  const codes = new Uint16Array(joinPlanes(await inflate(textOf(blob)), 2));
  return Float32Array.from(codes, (code) => (code === 65535 ? NaN : low + code * step));
}

async function readTop(blob, n, textOf) {
  const bytes = await inflate(textOf(blob));
  const weights = new Float32Array(joinPlanes(bytes.subarray(0, bytes.length / 2), 4));
  const keys = new Int32Array(joinPlanes(bytes.subarray(bytes.length / 2), 4));
  return (query) => Array.from({ length: n }, (_, i) => (
    { key: keys[query * n + i], weight: weights[query * n + i] })).filter(({ key }) => key >= 0);
}

function once(load) {
  let value;
  return () => (value ??= load());
}

/** Opens a summary of the payload; `map` opens the maps of its tiles. */
export function openSummary(summary, labels, textOf, map) {
  const lines = (each) => each.map((line) => once(() => readLine(line, textOf)));
  return {
    name: summary.name,
    reading: summary.reading,
    shape: summary.shape,
    heads: summary.heads,
    labels: labels(summary.labels),
    lines: Object.fromEntries(
      Object.entries(summary.lines).map(([name, heads]) => [name, lines(heads)])),
    pooled: summary.pooled && { shape: summary.pooled.shape, heads: lines(summary.pooled.heads) },
    top: summary.top && summary.top.heads.map(
      (blob) => once(() => readTop(blob, summary.top.n, textOf))),
    tiles: summary.tiles.map(({ start, shape, topK, heads }) => ({
      start,
      shape,
      load: (head) => map(heads[head], shape, topK),
    })),
  };
}
