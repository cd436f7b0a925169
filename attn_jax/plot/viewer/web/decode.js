// The arrays of the page: decompressed when they are first asked for, and kept for a while.

const LEVELS = 128;
// Decoded maps kept, in cells: a byte each.
const KEPT_CELLS = 96e6;

async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Puts together numbers whose bytes were written plane by plane, the lowest first.
function joinPlanes(bytes, size) {
  const count = bytes.length / size;
  const joined = new Uint8Array(bytes.length);
  for (let plane = 0; plane < size; plane++) {
    for (let i = 0; i < count; i++) joined[i * size + plane] = bytes[plane * count + i];
  }
  return joined.buffer;
}

/** One map, decoded. Weights among the exact ones of their row are exact, others within 1/255. */
export class DecodedMap {
  constructor(bytes, [queries, keys], topK) {
    this.shape = [queries, keys];
    this.topK = topK;
    const bits = Math.ceil((queries * keys) / 8);
    const planes = 4 * queries * topK;
    const end = bytes.length - 2 * planes;
    this.codes = spread(bytes.subarray(0, bits), bytes.subarray(bits, end), queries * keys);
    this.topWeights = new Float32Array(joinPlanes(bytes.subarray(end, end + planes), 4));
    this.topKeys = new Uint32Array(joinPlanes(bytes.subarray(end + planes), 4));
    this.max = this.topWeights.reduce((a, b) => Math.max(a, b), 0);
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

  /** What all queries give to a key. */
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

  /** The largest weights of a query with their keys, exact, the largest first. */
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

/** The mean of maps of one shape; it answers like one of them, but nothing in it is exact. */
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

// Keeps what `load` gives until more than `room` cells are kept; then the oldest are let go.
class Cache {
  constructor(room) {
    this.room = room;
    this.kept = new Map();
  }

  get(name, cells, load) {
    const found = this.kept.get(name) ?? { cells, value: load() };
    this.kept.delete(name);
    this.kept.set(name, found);
    let total = 0;
    for (const [other, entry] of [...this.kept].reverse()) {
      total += entry.cells;
      if (total > this.room && other !== name) this.kept.delete(other);
    }
    return found.value;
  }
}

/**
 * Opens what the page holds.
 *
 * `layers[i]` is {name, shape, labels: {queries, keys}, maps}; a map has {layer, head, entropy,
 * thumb(), load()}. `pick(state)` loads the map of the state's layer and head, or their mean;
 * `pickCompared(state)` that of the other run. `summaries[i]` is {name, shape, heads, labels,
 * lines: {entropy: [load per head], ...}, pooled, top, tiles}. `goldOf(layer)` has the links
 * {sure, possible} that go with a layer's maps, or is null.
 */
export function openData(payload, textOf) {
  const cache = new Cache(KEPT_CELLS);
  const labels = (names) => ({
    queries: names.queries === null ? null : payload.labels[names.queries],
    keys: names.keys === null ? null : payload.labels[names.keys],
  });
  const map = (blob, shape, topK) =>
    cache.get(blob, shape[0] * shape[1], async () =>
      new DecodedMap(await inflate(textOf(blob)), shape, topK));

  const openLayers = (layers) => layers.map((layer, index) => ({
    name: layer.name,
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

// The last code says that there is no number.
async function readLine({ blob, low, step }, textOf) {
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

function openSummary(summary, labels, textOf, map) {
  const lines = (each) => each.map((line) => once(() => readLine(line, textOf)));
  return {
    name: summary.name,
    shape: summary.shape,
    heads: summary.heads,
    labels: labels(summary.labels),
    lines: Object.fromEntries(
      Object.entries(summary.lines).map(([name, heads]) => [name, lines(heads)])),
    pooled: summary.pooled && { shape: summary.pooled.shape, heads: lines(summary.pooled.heads) },
    top: summary.top && summary.top.heads.map(
      (blob) => once(() => readTop(blob, summary.top.n, textOf))),
    tiles: summary.tiles.map(({ at, shape, topK, heads }) => ({
      at,
      shape,
      load: (head) => map(heads[head], shape, topK),
    })),
  };
}
