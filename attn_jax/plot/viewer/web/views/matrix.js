// The matrix of a head: a row for each query, a column for each key, and lists of the largest weights.

import { formatWeight, make, placed } from "../dom.js";
import { say } from "../language.js";
import { rankings, tableOf } from "../ranking.js";
import { matches } from "../search.js";
import { coloring, makeLegend } from "../shade.js";
import { roomHeight } from "../sizing.js";
import { MapPanel } from "./panel.js";

export const title = () => say`Matrix`;
export const isAvailable = (data) => data.layers.length > 0;

const SIDE = 300;
// Up to this width, as in the style sheet, everything is in one column.
const NARROW = 760;
// Below the map, the footer.
const BELOW = 84;

export function createView({ data, store, palette, announce }) {
  const panel = new MapPanel(palette, {
    hover: (cell) => hover(cell),
    select: (cell) => store.set(cell),
    zoom: (zoom) => store.set({ zoom }),
  }, say`Attention matrix: arrow keys move, plus and minus zoom, 0 shows the whole map`);
  const readout = make("p", { class: "readout" });
  const lists = make("div", { class: "lists" });
  const legend = makeLegend(palette);
  const element = make("div", { class: "matrix" }, panel.element,
    make("div", { class: "side" }, legend.element, readout, lists));
  let hovered = null;
  let painted = "";

  async function render(state) {
    const map = await data.pick(state);
    if (state !== store.state) return;
    const { labels, shape } = data.layers[state.layer];
    const space = spaceFor(element, SIDE);
    panel.set({ map, labels, zoom: state.zoom, space, matched: matches(labels, shape, state.search) });
    const appearance = [state.layer, state.head, state.scale, state.pairs, state.weighting,
      palette.dark].join();
    if (appearance === painted) panel.draw();
    else panel.paint(coloring(map, state.scale, palette));
    painted = appearance;
    legend.render(state.scale, map.max, Boolean(map.hides));
    hover(hovered);
  }

  function hover(cell) {
    if (!panel.map) return;
    const { query, key, layer } = store.state;
    hovered = cell;
    panel.drawCross({ query, key }, cell, data.goldOf(layer));
    const focus = cell ?? { query, key };
    readout.textContent = describe(focus);
    lists.replaceChildren(...rankings(panel.map, panel.labels, focus));
    if (cell) announce(readout.textContent);
  }

  function keydown(event) {
    if (!panel.map) return false;
    hovered = null;
    if (!panel.keydown(event, store)) return false;
    announce(describe(store.state));
    return true;
  }

  function describe({ query, key }) {
    const { map, labels } = panel;
    if (query === null || key === null) return say`Point at a cell, or select one with the arrow keys.`;
    const weight = map.isHidden?.(query, key) ? say`hidden` : formatWeight(map.weight(query, key), map.isExact(query, key));
    return say`${placed(labels.queries, query)} → ${placed(labels.keys, key)}: ${weight}`;
  }

  return { element, render, keydown, table: () => tableOf(panel.map, panel.labels),
    picture: () => panel.picture(), destroy() {} };
}

/** Returns the space left next to something `beside` wide, for `count` maps in a row. */
export function spaceFor(element, beside, count = 1) {
  const isNarrow = innerWidth <= NARROW;
  const width = isNarrow ? element.clientWidth : (element.clientWidth - beside) / count;
  return { width: Math.max(280, width),
    height: Math.max(280, roomHeight() - BELOW - element.getBoundingClientRect().top - scrollY) };
}
