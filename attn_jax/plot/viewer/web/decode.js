// The data of the page, decompressed on first use and cached.

import { inflate } from "./bytes.js";
import { openSummary, readLine } from "./long.js";
import { DecodedMap, MeanMap } from "./maps.js";
import { outsidePair, ShownMap, weighting } from "./shown.js";
import { tileOf } from "./tiles.js";

// Size of the cache of decoded maps, in cells of one byte.
const CACHED_CELLS = 96e6;

// Caches results of `load`, and drops the least recently used beyond `capacity` cells.
class Cache {
  constructor(capacity) {
    this.capacity = capacity;
    this.entries = new Map();
  }

  get(name, cells, load) {
    const current = this.entries.get(name) ?? { cells, value: load() };
    this.entries.delete(name);
    this.entries.set(name, current);
    let total = 0;
    for (const [other, entry] of [...this.entries].reverse()) {
      total += entry.cells;
      if (total > this.capacity && other !== name) this.entries.delete(other);
    }
    return current.value;
  }
}

/**
 * Opens the data of the page.
 *
 * `layers[i]` is {name, reading, shape, labels: {queries, keys}, maps, sentenceB, weightings,
 * neurons}; a map has {layer, head, entropy, thumb(), hiddenThumb(sizes), load()}. `pick(state)` loads the map of the
 * state's layer and head, or the mean of its heads, as the state's pair of sentences and weighting
 * show it; `pickHeads(state, heads)` the mean of these heads, whose `maps` are theirs if several;
 * `pickCompared(state)` the map of the other run. `scores` has a number for each map, by name.
 * `summaries[i]` is {name, reading, shape, heads, labels, lines: {entropy: [load per head], ...},
 * pooled, top, tiles}. `goldOf(layer)` has the links {sure, possible} that go with a layer's maps,
 * or is null.
 */
export function openData(payload, textOf, pages = 1) {
  const cache = new Cache(CACHED_CELLS / pages);
  const labels = (names) => ({
    queries: names.queries === null ? null : payload.labels[names.queries],
    keys: names.keys === null ? null : payload.labels[names.keys],
  });
  const map = (blob, shape, topK) =>
    cache.get(blob, shape[0] * shape[1], async () => {
      const [bits, rest] = await Promise.all(textOf(blob).split(",").map(inflate));
      return new DecodedMap(bits, rest, shape, topK);
    });

  const openLayers = (layers) => layers.map((layer, index) => ({
    name: layer.name,
    reading: layer.reading,
    shape: layer.shape,
    labels: labels(layer.labels),
    hidden: layer.hidden,
    sentenceB: layer.sentenceB,
    norms: layer.valueNorms,
    share: layer.attentionShare,
    weightings: ["", ...(layer.valueNorms ? ["value"] : []), ...(layer.attentionShare ? ["residual"] : [])],
    neurons: layer.neurons && openNeurons(layer.neurons),
    maps: layer.heads.map((head, number) => ({
      layer: index,
      head: number,
      entropy: head.entropy,
      thumb: () => inflate(head.thumb),
      hiddenThumb: (sizes) => hiddenThumb(layer, number, sizes),
      load: () => map(head.blob, layer.shape, Math.min(payload.topK, layer.shape[1])),
    })),
  }));

  const read = (line) => readLine(line, textOf);
  function openNeurons({ size, scale, query, key, scores }) {
    return { size, scale, load: async (head) => {
      const lines = [query, key, scores].map((each) => each && read(each[head]));
      const [queries, keys, given] = await Promise.all(lines);
      return { query: queries, key: keys, scores: given };
    } };
  }

  // The map of one head, weighted.
  async function weighted(layer, head, kind) {
    const base = await layer.maps[head].load();
    if (!kind) return base;
    const [norms, share] = await Promise.all([
      kind === "value" ? read(layer.norms[head]) : null, kind === "residual" ? read(layer.share) : null]);
    return new ShownMap(base, { weigh: weighting(kind, norms, share) });
  }

  // The cells that a mask hides from all of these heads, as bits.
  async function maskOf({ hidden }, heads) {
    if (!hidden) return null;
    const blobs = [...new Set(heads.map((head) => hidden[hidden.length > 1 ? head : 0]))];
    const bits = await Promise.all(blobs.map((blob) => inflate(textOf(blob))));
    return bits.reduce((all, more) => all.map((byte, i) => byte & more[i]));
  }

  const thumbs = new Map();
  // The cells of a thumbnail of which a mask hides all, or null without a mask.
  async function hiddenThumb({ hidden, shape: [queries, keys] }, head, [rows, columns]) {
    if (!hidden) return null;
    const blob = hidden[hidden.length > 1 ? head : 0];
    if (!thumbs.has(blob)) {
      thumbs.set(blob, inflate(textOf(blob)).then((bits) => {
        const cells = new Uint8Array(rows * columns).fill(1);
        for (let cell = 0; cell < queries * keys; cell++) {
          if (bits[cell >> 3] & (128 >> (cell & 7))) continue;
          cells[tileOf(Math.floor(cell / keys), queries, rows) * columns
            + tileOf(cell % keys, keys, columns)] = 0;
        }
        return cells;
      }));
    }
    return thumbs.get(blob);
  }

  async function shown(layer, base, heads, pairs) {
    const bits = await maskOf(layer, heads);
    const outside = outsidePair(pairs, layer.sentenceB);
    if (!bits && !outside) return base;
    const masked = (cell) => Boolean(bits && bits[cell >> 3] & (128 >> (cell & 7)));
    return new ShownMap(base, { changes: Boolean(outside), isHidden: (query, key) =>
      masked(query * layer.shape[1] + key) || Boolean(outside?.(query, key)) });
  }

  function pickHeads(layers, { layer, pairs = "", weighting: kind = "" }, heads) {
    const chosen = layers[layer];
    const [queries, keys] = chosen.shape;
    const name = [layers === compared, layer, heads, pairs, kind].join(":");
    return cache.get(name, 4 * queries * keys, async () => {
      const one = async (head) =>
        shown(chosen, await weighted(chosen, head, kind), [head], pairs);
      const maps = await Promise.all(heads.map(one));
      return maps.length === 1 ? maps[0] : shown(chosen, new MeanMap(maps), heads, pairs);
    });
  }

  const pick = (layers, state) => pickHeads(layers, state,
    state.head === "mean" ? [...layers[state.layer].maps.keys()] : [state.head]);

  const layers = openLayers(payload.layers);
  const compared = openLayers(payload.compared);
  return {
    title: payload.title,
    layers,
    compared,
    compareNames: payload.compareNames,
    maps: layers.flatMap((layer) => layer.maps),
    scores: {
      entropy: layers.flatMap((layer) => layer.maps.map(({ entropy }) => entropy)),
      ...payload.scores,
      ...payload.measures,
    },
    image: payload.image,
    goldOf: (layer) => {
      const { gold } = payload;
      return gold && String(gold.shape) === String(layers[layer].shape) ? gold : null;
    },
    summaries: payload.summaries.map((summary) => openSummary(summary, labels, textOf, map)),
    topK: payload.topK,
    pick: (state) => pick(layers, state),
    pickHeads: (state, heads) => pickHeads(layers, state, heads),
    pickCompared: (state) => pick(compared, { ...state, weighting: "" }),
  };
}
