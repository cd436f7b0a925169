// The matrix of one head: queries down, keys across.

import { formatWeight, make, nameOf } from "../dom.js";
import { matches } from "../search.js";
import { colouring } from "../shade.js";
import { MapPanel } from "./panel.js";

export const title = "Matrix";
export const isAvailable = (data) => data.layers.length > 0;

const LISTED = 8;

export function createView({ data, store, palette, announce }) {
  const panel = new MapPanel(palette, {
    hover: (cell) => view.hover(cell),
    select: (cell) => store.set(cell),
    zoom: (zoom) => store.set({ zoom }),
  }, "Attention matrix: arrow keys move, plus and minus zoom, 0 shows all");
  const readout = make("p", { class: "readout" });
  const looks = make("div", { class: "looks" });
  const side = make("div", { class: "side" }, readout, looks);
  const element = make("div", { class: "matrix" }, panel.element, side);
  let map = null;
  let hovered = null;
  let painted = "";

  const chosen = () => ({ query: store.state.query, key: store.state.key });

  const view = {
    element,

    async render(state) {
      const loaded = await data.pick(state);
      if (state !== store.state) return;
      map = loaded;
      const labels = data.layers[state.layer].labels;
      const sizes = sizeOf(element, map.shape);
      panel.found = matches(labels, map.shape, state.search);
      Object.assign(panel, { map, labels, zoom: state.zoom, sizes });
      const wanted = [state.layer, state.head, state.scale, palette.dark].join();
      if (wanted === painted) panel.draw();
      else panel.paint(colouring(map, state.scale, palette));
      painted = wanted;
      view.hover(hovered);
    },

    hover(cell) {
      if (!map) return;
      hovered = cell;
      panel.drawCross(chosen(), cell, data.goldOf(store.state.layer));
      const focus = cell ?? chosen();
      readout.textContent = describe(focus);
      list(focus);
      if (cell) announce(readout.textContent);
    },

    keydown(event) {
      if (!panel.element.contains(event.target)) return false;
      hovered = null;
      if (!panel.keydown(event, store)) return false;
      announce(describe(store.state));
      return true;
    },

    picture: () => panel.picture(),

    table() {
      const { queries, keys } = panel.labels;
      const names = Array.from({ length: map.shape[1] }, (_, key) => keys?.[key] ?? key);
      const rows = Array.from({ length: map.shape[0] }, (_, query) =>
        [queries?.[query] ?? query, ...map.row(query)]);
      return [["", ...names], ...rows];
    },

    destroy() {},
  };

  function describe({ query, key }) {
    const { queries, keys } = panel.labels;
    if (query === null && key === null) return "Point at a cell, or choose one with the arrow keys.";
    if (query === null) return `key ${nameOf(keys, key)}`;
    if (key === null) return `query ${nameOf(queries, query)}`;
    const weight = formatWeight(map.weight(query, key), map.isExact(query, key));
    return `${nameOf(queries, query)} (${query}) → ${nameOf(keys, key)} (${key}): ${weight}`;
  }

  function list({ query, key }) {
    const { queries, keys } = panel.labels;
    const parts = [];
    if (query !== null) {
      const row = map.row(query);
      parts.push(ranking(`${nameOf(queries, query)} looks at`, row, keys,
        (index) => map.isExact(query, index)));
    }
    if (key !== null) {
      parts.push(ranking(`who looks at ${nameOf(keys, key)}`, map.column(key), queries,
        (index) => map.isExact(index, key)));
    }
    looks.replaceChildren(...parts);
  }

  function ranking(heading, weights, labels, isExact) {
    const order = [...weights.keys()].sort((a, b) => weights[b] - weights[a]).slice(0, LISTED);
    const most = weights[order[0]] || 1;
    const items = order.filter((index) => weights[index] > 0).map((index) => {
      const bar = make("span", { class: "bar" });
      bar.style.width = `${(100 * weights[index]) / most}%`;
      return make("li", {}, make("span", { class: "name" }, nameOf(labels, index)),
        make("span", { class: "place" }, String(index)),
        make("span", { class: "value" }, formatWeight(weights[index], isExact(index))), bar);
    });
    return make("section", {}, make("h3", {}, heading), make("ol", {}, ...items));
  }

  return view;
}

/** The room for a map within `element`: no taller than it needs, nor than the window. */
export function sizeOf(element, [queries, keys], share = 1) {
  const wide = Math.max(280, (element.clientWidth - 300) * share);
  const tall = Math.max(280, innerHeight - 190);
  const cell = Math.min((wide - 104) / keys, (tall - 92) / queries, 40);
  return { width: Math.ceil(cell * keys) + 106, height: Math.ceil(cell * queries) + 94 };
}
