// The matrix of one head: queries down, keys across, and the largest weights of what is pointed at.

import { formatWeight, make, nameOf } from "../dom.js";
import { matches } from "../search.js";
import { colouring, makeLegend } from "../shade.js";
import { MapPanel } from "./panel.js";

export const title = "Matrix";
export const isAvailable = (data) => data.layers.length > 0;

const LISTED = 8;
const SIDE = 300;
const AROUND = 200;

export function createView({ data, store, palette, announce }) {
  const panel = new MapPanel(palette, {
    hover: (cell) => hover(cell),
    select: (cell) => store.set(cell),
    zoom: (zoom) => store.set({ zoom }),
  }, "Attention matrix: arrow keys move, plus and minus zoom, 0 shows all");
  const readout = make("p", { class: "readout" });
  const looks = make("div", { class: "looks" });
  const legend = makeLegend(palette);
  const element = make("div", { class: "matrix" }, panel.element,
    make("div", { class: "side" }, legend.element, readout, looks));
  let hovered = null;
  let painted = "";

  async function render(state) {
    const map = await data.pick(state);
    if (state !== store.state) return;
    const { labels, shape } = data.layers[state.layer];
    const space = spaceFor(element, SIDE);
    panel.set({ map, labels, zoom: state.zoom, space, found: matches(labels, shape, state.search) });
    const wanted = [state.layer, state.head, state.scale, palette.dark].join();
    if (wanted === painted) panel.draw();
    else panel.paint(colouring(map, state.scale, palette));
    painted = wanted;
    legend.render(state.scale, map.max);
    hover(hovered);
  }

  function hover(cell) {
    if (!panel.map) return;
    const { query, key, layer } = store.state;
    hovered = cell;
    panel.drawCross({ query, key }, cell, data.goldOf(layer));
    const focus = cell ?? { query, key };
    readout.textContent = describe(focus);
    looks.replaceChildren(...rankings(focus));
    if (cell) announce(readout.textContent);
  }

  function keydown(event) {
    if (!panel.element.contains(event.target)) return false;
    hovered = null;
    if (!panel.keydown(event, store)) return false;
    announce(describe(store.state));
    return true;
  }

  function describe({ query, key }) {
    const { map, labels } = panel;
    if (query === null || key === null) return "Point at a cell, or choose one with the arrow keys.";
    const weight = formatWeight(map.weight(query, key), map.isExact(query, key));
    return `${placed(labels.queries, query)} → ${placed(labels.keys, key)}: ${weight}`;
  }

  function rankings({ query, key }) {
    const { map, labels } = panel;
    const ofQuery = query !== null && ranking(`${nameOf(labels.queries, query)} looks at`,
      map.row(query), labels.keys, (index) => map.isExact(query, index));
    const ofKey = key !== null && ranking(`Who looks at ${nameOf(labels.keys, key)}`,
      map.column(key), labels.queries, (index) => map.isExact(index, key));
    return [ofQuery, ofKey].filter(Boolean);
  }

  function table() {
    const { map, labels } = panel;
    const [queries, keys] = map.shape;
    const names = Array.from({ length: keys }, (_, key) => labels.keys?.[key] ?? key);
    const rows = Array.from({ length: queries }, (_, query) =>
      [labels.queries?.[query] ?? query, ...map.row(query)]);
    return [["", ...names], ...rows];
  }

  return { element, render, keydown, table, picture: () => panel.picture(), destroy() {} };
}

/** The room that is left beside something `beside` wide; for `count` maps in a row. */
export function spaceFor(element, beside, count = 1) {
  return { width: Math.max(280, (element.clientWidth - beside) / count),
    height: Math.max(280, innerHeight - AROUND) };
}

/** A label and its place, or the place alone where there is no label. */
export function placed(labels, index) {
  return labels ? `${nameOf(labels, index)} (${index})` : String(index);
}

function ranking(heading, weights, labels, isExact) {
  const order = [...weights.keys()].sort((a, b) => weights[b] - weights[a]).slice(0, LISTED);
  const items = order.filter((index) => weights[index] > 0).map((index) => {
    const bar = make("span", { class: "bar" });
    bar.style.width = `${(100 * weights[index]) / weights[order[0]]}%`;
    return make("li", {}, make("span", { class: "name" }, nameOf(labels, index)),
      make("span", { class: "place" }, labels ? String(index) : ""),
      make("span", { class: "value" }, formatWeight(weights[index], isExact(index))), bar);
  });
  return make("section", {}, make("h3", {}, heading), make("ol", {}, ...items));
}
