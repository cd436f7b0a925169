// The same head of two runs side by side, and where the second looks more or less.

import { formatWeight, make, nameOf } from "../dom.js";
import { matches } from "../search.js";
import { colouring, differing } from "../shade.js";
import { sizeOf } from "./matrix.js";
import { MapPanel } from "./panel.js";

export const title = "Compare";
export const isAvailable = (data) => data.compared.length > 0;

const NAMES = ["this run", "the other run", "the other less this"];

export function createView({ data, store, palette, announce }) {
  const act = {
    hover: (cell) => view.hover(cell),
    select: (cell) => store.set(cell),
    zoom: (zoom) => store.set({ zoom }),
  };
  const panels = NAMES.map((name) => new MapPanel(palette, act, `Attention matrix of ${name}`));
  const readout = make("p", { class: "readout" });
  const figures = panels.map((panel, i) =>
    make("figure", {}, make("figcaption", {}, NAMES[i]), panel.element));
  const element = make("div", { class: "compare" }, make("div", { class: "trio" }, ...figures), readout);
  let maps = null;
  let painted = "";

  const view = {
    element,

    async render(state) {
      const [first, second] = await Promise.all([data.pick(state), data.pickCompared(state)]);
      if (state !== store.state) return;
      maps = [first, second, new Difference(first, second)];
      const { labels, shape } = data.layers[state.layer];
      const sizes = sizeOf({ clientWidth: element.clientWidth + 300 }, shape, 1 / 3.1);
      const found = matches(labels, shape, state.search);
      const wanted = [state.layer, state.head, state.scale, palette.dark].join();
      panels.forEach((panel, i) => {
        Object.assign(panel, { found, labels, zoom: state.zoom, sizes, map: maps[i] });
        if (wanted === painted) panel.draw();
        else panel.paint((i < 2 ? colouring : differing)(maps[i], state.scale, palette));
      });
      painted = wanted;
      view.hover(null);
    },

    hover(cell) {
      if (!maps) return;
      const { query, key } = store.state;
      for (const panel of panels) panel.drawCross({ query, key }, cell, data.goldOf(store.state.layer));
      readout.textContent = describe(cell ?? { query, key });
      if (cell) announce(readout.textContent);
    },

    keydown(event) {
      const panel = panels.find((each) => each.element.contains(event.target));
      const moved = panel?.keydown(event, store);
      if (moved) announce(describe(store.state));
      return Boolean(moved);
    },

    picture: () => sideBySide(panels),

    table() {
      const { labels, shape } = data.layers[store.state.layer];
      const rows = [["query", "key", ...NAMES]];
      for (let query = 0; query < shape[0]; query++) {
        const each = maps.map((map) => map.row(query));
        for (let key = 0; key < shape[1]; key++) {
          rows.push([labels.queries?.[query] ?? query, labels.keys?.[key] ?? key,
            ...each.map((row) => row[key])]);
        }
      }
      return rows;
    },

    destroy() {},
  };

  function describe({ query, key }) {
    if (query === null || key === null) return "Point at a cell, or choose one with the arrow keys.";
    const { queries, keys } = panels[0].labels;
    const weights = maps.slice(0, 2).map((map, i) =>
      `${NAMES[i]} ${formatWeight(map.weight(query, key), map.isExact(query, key))}`);
    return `${nameOf(queries, query)} (${query}) → ${nameOf(keys, key)} (${key}): ${weights.join(", ")}`;
  }

  return view;
}

/** How much more of each weight the second map has. */
class Difference {
  constructor(first, second) {
    Object.assign(this, { first, second, shape: first.shape });
  }

  row(query) {
    const before = this.first.row(query);
    return this.second.row(query).map((weight, key) => weight - before[key]);
  }
}

async function sideBySide(panels) {
  const pictures = await Promise.all(panels.map((panel) => panel.picture()));
  const { width, height } = panels[0].sizes;
  const whole = pictures[0].cloneNode(false);
  whole.setAttribute("width", 3 * width);
  whole.setAttribute("viewBox", `0 0 ${3 * width} ${height}`);
  pictures.forEach((picture, i) => picture.setAttribute("x", i * width));
  whole.append(...pictures);
  return whole;
}
