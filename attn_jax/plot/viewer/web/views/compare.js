// The same head of two runs side by side, and the difference of their weights.

import { formatWeight, make, placed } from "../dom.js";
import { list, nameInPage, say } from "../language.js";
import { matches } from "../search.js";
import { coloring, differing } from "../shade.js";
import { spaceFor } from "./matrix.js";
import { MapPanel } from "./panel.js";
import { sideBySide } from "./picture.js";

export const title = () => say`Compare`;
export const isAvailable = (data) => data.compared.length > 0;
export const uses = ["layer", "head", "scale", "search"];

const GAPS = 30;

export function createView({ data, store, palette, announce }) {
  const act = {
    hover: (cell) => hover(cell),
    select: (cell) => store.set(cell),
    zoom: (zoom) => store.set({ zoom }),
  };
  const [first, second] = data.compareNames.map(nameInPage);
  const titles = [first, second, `${second} − ${first}`];
  const panels = titles.map((name) => new MapPanel(palette, act, say`Attention matrix of ${name}`));
  const readout = make("p", { class: "readout" });
  const figures = panels.map((panel, i) =>
    make("figure", {}, make("figcaption", {}, titles[i]), panel.element));
  const element = make("div", { class: "compare" }, readout, make("div", { class: "trio" }, ...figures));
  let painted = "";

  async function render(state) {
    const maps = await Promise.all([data.pick({ ...state, weighting: "" }), data.pickCompared(state)]);
    if (state !== store.state) return;
    const { labels, shape } = data.layers[state.layer];
    const space = spaceFor(element, GAPS, titles.length);
    const matched = matches(labels, shape, state.search);
    const appearance = [state.layer, state.head, state.scale, state.pairs, palette.dark].join();
    [...maps, new Difference(...maps)].forEach((map, i) => {
      panels[i].set({ map, labels, zoom: state.zoom, space, matched });
      if (appearance === painted) panels[i].draw();
      else panels[i].paint((i < 2 ? coloring : differing)(map, state.scale, palette));
    });
    painted = appearance;
    hover(null);
  }

  function hover(cell) {
    if (!panels[0].map) return;
    const { query, key, layer } = store.state;
    for (const panel of panels) panel.drawCross({ query, key }, cell, data.goldOf(layer));
    readout.textContent = describe(cell ?? { query, key });
    if (cell) announce(readout.textContent);
  }

  function keydown(event) {
    const panel = panels.find((each) => each.element.contains(event.target)) ?? panels[0];
    const moved = Boolean(panel.map && panel.keydown(event, store));
    if (moved) announce(describe(store.state));
    return moved;
  }

  function describe({ query, key }) {
    if (query === null || key === null) return say`Point at a cell, or select one with the arrow keys.`;
    const { queries, keys } = panels[0].labels;
    const weights = panels.slice(0, 2).map(({ map }, i) =>
      `${titles[i]} ${formatWeight(map.weight(query, key), map.isExact(query, key))}`);
    return say`${placed(queries, query)} → ${placed(keys, key)}: ${list(weights)}`;
  }

  async function picture() {
    const pictures = await Promise.all(panels.map((panel) => panel.picture()));
    return sideBySide(palette, pictures, panels[0].sizes);
  }

  function table() {
    const { labels, map: { shape: [queries, keys] } } = panels[0];
    const rows = [[say`query`, say`key`, ...titles]];
    for (let query = 0; query < queries; query++) {
      const each = panels.map(({ map }) => map.row(query));
      for (let key = 0; key < keys; key++) {
        rows.push([labels.queries?.[query] ?? query, labels.keys?.[key] ?? key,
          ...each.map((row) => row[key])]);
      }
    }
    return rows;
  }

  return { element, render, keydown, picture, table, destroy() {} };
}

/** The second map minus the first. */
class Difference {
  constructor(first, second) {
    Object.assign(this, { first, second, shape: first.shape });
  }

  isHidden(query, key) {
    return this.first.isHidden?.(query, key);
  }

  row(query) {
    const before = this.first.row(query);
    return this.second.row(query).map((weight, key) => weight - before[key]);
  }
}
