// A sequence too long for its map: the map in tiles, what each key gets and how each query looks,
// and the parts of the map that were stored.

import { LineChart } from "../chart.js";
import { MeanMap } from "../decode.js";
import { formatWeight, make, nameOf } from "../dom.js";
import { pictureOf } from "../picture.js";
import { ranking } from "../ranking.js";
import { matches } from "../search.js";
import { colouring } from "../shade.js";
import { tileMiddle, tileNames, tileOf, TileMap } from "../tiles.js";
import { MapPanel } from "./panel.js";

export const title = "Summary";
export const isAvailable = (data) => data.summaries.length > 0;

// Name, and whether it has a value for each query or each key.
const LINES = {
  received: ["received mass, by key", "key"],
  entropy: ["entropy in nats, by query", "query"],
  distance: ["mean distance, by query", "query"],
  max_logit: ["largest score, by query", "query"],
};
const AXES = ["query", "key"];
const PANEL = { width: 420, height: 390 };

export function createView({ data, store, palette, announce }) {
  const pooled = new Part(palette, store, "Map in tiles: arrow keys move, plus and minus zoom", point);
  const stored = new Part(palette, store, "Stored part of the map: arrow keys move", point);
  const charts = Object.fromEntries(Object.entries(LINES).map(([name, [text, axis]]) =>
    [name, new LineChart(palette, text, {
      pick: (token) => store.set({ [axis]: token }),
      point: (token) => point(token === null ? null : { [axis]: token }),
    })]));
  const fields = Object.fromEntries(AXES.map((axis) => [axis, make("input", {
    type: "number", min: 0, onchange: (event) =>
      store.set({ [axis]: event.target.value === "" ? null : Number(event.target.value) }) })]));
  const parts = make("div", { class: "parts", role: "group", "aria-label": "Stored parts" });
  const readout = make("p", { class: "readout" });
  const looks = make("div", { class: "looks" });
  const maps = make("div", { class: "maps" }, pooled.figure, stored.figure);
  const lines = make("div", { class: "charts" }, ...Object.values(charts).map(({ element }) => element));
  const drawn = make("div", { class: "drawn" }, maps, lines);
  const element = make("div", { class: "matrix summary" }, drawn, make("div", { class: "side" },
    ...AXES.map((axis) => make("label", { class: "field" }, make("span", {}, axis), fields[axis])),
    parts, readout, looks));
  // What is on the page: { summary, values by name, tiles: TileMap, top, tile }.
  let seen = null;

  function point(place) {
    if (!seen) return;
    const at = { query: store.state.query, key: store.state.key, ...place };
    pooled.cross(at, place);
    if (seen.tile) stored.cross(at, place);
    for (const [name, [, axis]] of Object.entries(LINES)) {
      if (seen.values[name]) charts[name].point(at[axis]);
    }
    readout.textContent = describe(at);
    const { queries, keys } = seen.summary.labels;
    const top = at.query === null || !seen.top ? [] : seen.top(at.query)
      .map(({ key, weight }) => ({ index: key, weight, exact: true }));
    looks.replaceChildren(...(top.length
      ? [ranking(`${nameOf(queries, at.query)} looks at`, top, keys)] : []));
    if (place) announce(readout.textContent);
  }

  function describe(at) {
    const { labels, shape } = seen.summary;
    if (at.query === null && at.key === null) return "Point at a tile or at a line, or choose a token.";
    const names = { query: labels.queries, key: labels.keys };
    const tokens = AXES.filter((axis) => at[axis] !== null).map((axis) => {
      const numbers = Object.entries(LINES).filter(([name, [, of]]) => of === axis && seen.values[name])
        .map(([name, [text]]) => `${text.split(/,| in /)[0]} ≈ ${seen.values[name][at[axis]].toPrecision(3)}`);
      const called = names[axis] ? `${nameOf(names[axis], at[axis])} (${at[axis]})` : at[axis];
      return `${axis} ${called}: ${numbers.join(", ")}.`;
    });
    if (at.query === null || at.key === null) return tokens.join(" ");
    const cell = seen.tiles && AXES.map((axis, i) => tileOf(at[axis], shape[i], seen.tiles.shape[i]));
    const mean = cell ? [`Mean weight of the tile: ${formatWeight(seen.tiles.weight(...cell), false)}.`] : [];
    const { tile } = seen;
    const inside = tile && AXES.every((axis, i) => at[axis] >= tile.at[i] && at[axis] < tile.at[i] + tile.shape[i]);
    const local = inside ? AXES.map((axis, i) => at[axis] - tile.at[i]) : null;
    const weight = local ? [`Weight: ${formatWeight(tile.map.weight(...local), tile.map.isExact(...local))}.`] : [];
    return [...tokens, ...mean, ...weight].join(" ");
  }

  const view = {
    element,

    async render(state) {
      const summary = data.summaries[state.layer];
      const loaded = await load(summary, state);
      if (state !== store.state) return;
      seen = { summary, ...loaded };
      const found = matches(summary.labels, summary.shape, state.search);
      AXES.forEach((axis, i) => {
        fields[axis].max = summary.shape[i] - 1;
        fields[axis].value = state[axis] ?? "";
      });
      pooled.show(seen.tiles, state, pooledLabels(summary),
        { to: (token, i) => tileOf(token, summary.shape[i], seen.tiles.shape[i]),
          from: (tile, i) => tileMiddle(tile, summary.shape[i], seen.tiles.shape[i]) });
      showParts(summary, state);
      const width = Math.max(320, drawn.clientWidth);
      for (const [name, [, axis]] of Object.entries(LINES)) {
        charts[name].element.toggleAttribute("hidden", !seen.values[name]);
        if (seen.values[name]) charts[name].show(seen.values[name], width, found[axis]);
      }
      point(null);
    },

    keydown(event) {
      return [pooled, stored].some((part) => part.keydown(event));
    },

    async picture() {
      const shown = [pooled, stored].filter((part) => !part.figure.hidden).map(({ panel }) => panel);
      const pictures = await Promise.all(shown.map((panel) => panel.picture()));
      const placed = (node) => (box) => {
        node.setAttribute("x", box.x);
        node.setAttribute("y", box.y);
        return [node];
      };
      return pictureOf(drawn, palette, [], [
        ...shown.map((panel, i) => [panel.element, placed(pictures[i])]),
        ...Object.keys(seen.values).map((name) =>
          [charts[name].element, placed(charts[name].element.cloneNode(true))])]);
    },

    table() {
      const names = Object.keys(seen.values);
      const count = Math.max(...seen.summary.shape);
      return [["token", ...names], ...Array.from({ length: count }, (_, token) =>
        [token, ...names.map((name) => seen.values[name][token] ?? "")])];
    },

    destroy() {},
  };

  function showParts(summary, state) {
    const { tile } = seen;
    parts.replaceChildren(...summary.tiles.map(({ at, shape }) => make("button", {
      "aria-pressed": String(tile?.at === at),
      onclick: () => store.set({ query: at[0], key: at[1] }),
    }, AXES.map((axis, i) => `${axis} ${at[i]}–${at[i] + shape[i] - 1}`).join(", "))));
    stored.show(tile?.map ?? null, state, tile && tileLabels(summary, tile),
      { to: (token, i) => token - tile.at[i], from: (cell, i) => cell + tile.at[i] });
  }

  return view;
}

/** A map that is a part, or a rough picture, of one too large: its cells are not the tokens. */
class Part {
  constructor(palette, store, label, point) {
    this.palette = palette;
    this.store = store;
    this.zoom = null;
    this.panel = new MapPanel(palette, {
      hover: (cell) => point(cell && this.tokens(cell)),
      select: (cell) => store.set(this.tokens(cell)),
      zoom: (zoom) => {
        this.zoom = zoom;
        this.panel.zoom = zoom;
        this.panel.draw();
        point(null);
      },
    }, label);
    this.figure = make("figure", {}, make("figcaption", {}, label.split(":")[0]), this.panel.element);
  }

  show(map, state, labels, places) {
    this.figure.hidden = !map;
    if (!map) return;
    if (this.panel.map !== map) this.zoom = null;
    this.places = places;
    const [queries, keys] = map.shape;
    const cell = Math.min((PANEL.width - 106) / keys, (PANEL.height - 94) / queries);
    const sizes = { width: Math.ceil(cell * keys) + 106, height: Math.ceil(cell * queries) + 94 };
    Object.assign(this.panel, { map, labels, zoom: this.zoom, sizes });
    this.panel.paint(colouring(map, state.scale, this.palette));
  }

  tokens(cell) {
    return Object.fromEntries(AXES.filter((axis) => axis in cell).map((axis) =>
      [axis, this.places.from(cell[axis], AXES.indexOf(axis))]));
  }

  cell(at) {
    return Object.fromEntries(AXES.map((axis, i) =>
      [axis, at[axis] === null ? null : this.places.to(at[axis], i)]));
  }

  cross(at, pointed) {
    if (this.figure.hidden) return;
    this.panel.drawCross(this.cell(this.store.state), pointed && this.cell(at), null);
  }

  keydown(event) {
    if (!this.panel.element.contains(event.target)) return false;
    const part = this;
    return this.panel.keydown(event, {
      get state() {
        return part.cell(part.store.state);
      },
      set: (cell) => part.store.set(part.tokens(cell)),
    });
  }
}

const meanOf = (lists) => (lists.length === 1 ? lists[0]
  : lists[0].map((_, i) => lists.reduce((sum, list) => sum + list[i], 0) / lists.length));

async function load(summary, { head, query, key }) {
  const heads = head === "mean" ? [...Array(summary.heads).keys()] : [head];
  const mean = async (loads) => meanOf(await Promise.all(heads.map((each) => loads[each]())));
  const values = {};
  for (const name of Object.keys(LINES)) {
    if (summary.lines[name]) values[name] = await mean(summary.lines[name]);
  }
  summary.shownTiles ??= {};
  const tiles = summary.pooled
    && (summary.shownTiles[head] ??= new TileMap(await mean(summary.pooled.heads), summary.pooled.shape));
  const part = summary.tiles.find(({ at, shape }) =>
    [query, key].every((token, i) => token !== null && token >= at[i] && token < at[i] + shape[i]));
  const tile = part && { ...part,
    map: heads.length > 1 ? new MeanMap(await Promise.all(heads.map(part.load))) : await part.load(head) };
  return { values, tiles, tile, top: head === "mean" || !summary.top ? null : await summary.top[head]() };
}

function pooledLabels({ shape, pooled }) {
  return pooled && { queries: tileNames(shape[0], pooled.shape[0]), keys: tileNames(shape[1], pooled.shape[1]) };
}

function tileLabels({ labels }, { at, shape }) {
  const side = (names, first, count) =>
    Array.from({ length: count }, (_, i) => names?.[first + i] ?? String(first + i));
  return { queries: side(labels.queries, at[0], shape[0]), keys: side(labels.keys, at[1], shape[1]) };
}
