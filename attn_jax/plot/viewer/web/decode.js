// The data of the page, decompressed on first use and cached.

import { inflate } from "./bytes.js";
import { openSummary } from "./long.js";
import { DecodedMap, MeanMap } from "./maps.js";

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
 * `layers[i]` is {name, reading, shape, labels: {queries, keys}, maps}; a map has {layer, head, entropy,
 * thumb(), load()}. `pick(state)` loads the map of the state's layer and head, or their mean;
 * `pickCompared(state)` that of the other run. `summaries[i]` is {name, reading, shape, heads,
 * labels, lines: {entropy: [load per head], ...}, pooled, top, tiles}. `goldOf(layer)` has the links
 * {sure, possible} that go with a layer's maps, or is null.
 */
export function openData(payload, textOf) {
  const cache = new Cache(CACHED_CELLS);
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
    maps: layer.heads.map((head, number) => ({
      layer: index,
      head: number,
      entropy: head.entropy,
      thumb: () => inflate(head.thumb),
      load: () => map(head.blob, layer.shape, Math.min(payload.topK, layer.shape[1])),
    })),
  }));

  const pick = (layers, { layer, head }) => {
    const { maps, shape } = layers[layer];
    if (head !== "mean") return maps[head].load();
    const name = `${layers === compared}:${layer}`;
    return cache.get(name, 4 * shape[0] * shape[1], async () =>
      new MeanMap(await Promise.all(maps.map((each) => each.load()))));
  };

  const layers = openLayers(payload.layers);
  const compared = openLayers(payload.compared);
  return {
    title: payload.title,
    layers,
    compared,
    compareNames: payload.compareNames,
    maps: layers.flatMap((layer) => layer.maps),
    measures: payload.measures,
    image: payload.image,
    goldOf: (layer) => {
      const { gold } = payload;
      return gold && String(gold.shape) === String(layers[layer].shape) ? gold : null;
    },
    summaries: payload.summaries.map((summary) => openSummary(summary, labels, textOf, map)),
    topK: payload.topK,
    pick: (state) => pick(layers, state),
    pickCompared: (state) => pick(compared, state),
  };
}
