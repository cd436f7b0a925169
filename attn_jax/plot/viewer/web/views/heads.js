// All heads of a layer at once, as lines of one color for each head; squares switch heads on and off.

import { formatWeight, make, makeSvg, nameOf } from "../dom.js";
import { say } from "../language.js";
import { best } from "../ranking.js";
import { curve, drawLines, fade, makeLines, sizeLines } from "./lines.js";
import { createPair } from "./pair.js";
import { textSide } from "./tokens.js";

export const title = () => say`Heads`;
export const isAvailable = (data) => data.maps.length > 1;
export const uses = ["layer", "weighting", "search"];

// Lines of similar opacity are one path.
const SHADES = 8;
const FAINTEST = 0.04;
// The largest opacity of a stripe, out of 255, which leaves text on it readable.
const STRONGEST = 180;
// Above this many cells, only the exact largest weights of each query have lines.
const MOST_CELLS = 150_000;

/** Returns the heads that the state shows: some, as "0,3", none ("-"), or else all of the layer. */
export function headsShown({ layer, shown }, { layers }) {
  const all = [...layers[layer].maps.keys()];
  if (shown === "-") return [];
  const names = shown.split(",");
  const chosen = all.filter((head) => names.includes(String(head)));
  return chosen.length ? chosen : all;
}

const asText = (heads, count) =>
  (heads.length === count ? "" : heads.length ? heads.join(",") : "-");

// Squares: a click switches a head, a double click shows it alone, or all heads again.
function above({ data, store, palette }) {
  const squares = make("div", { class: "squares", role: "group",
    "aria-label": say`Heads: click to switch one on or off, double-click to see it alone` });
  const set = (heads) => store.set({
    shown: asText(heads, data.layers[store.state.layer].maps.length) });
  const all = () => [...data.layers[store.state.layer].maps.keys()];
  const shown = () => headsShown(store.state, data);

  function toggle(head) {
    const heads = shown();
    set(heads.includes(head) ? heads.filter((each) => each !== head)
      : [...heads, head].sort((a, b) => a - b));
  }
  const alone = (head) => set(String(shown()) === String(head) ? all() : [head]);

  function makeSquare(head) {
    return make("button", { class: "square", title: say`head ${head}`, "aria-label": say`head ${head}`,
      onclick: (event) => (event.shiftKey ? alone(head) : event.detail < 2 && toggle(head)),
      ondblclick: () => {
        toggle(head); // as it was before the first of the two clicks
        alone(head);
      } }, String(head));
  }

  return {
    element: make("div", { class: "heads-shown" }, squares,
      make("button", { onclick: () => set(all()) }, say`all`),
      make("button", { onclick: () => set([]) }, say`none`)),
    render() {
      const count = all().length;
      while (squares.children.length > count) squares.lastChild.remove();
      while (squares.children.length < count) squares.append(makeSquare(squares.children.length));
      const heads = shown();
      [...squares.children].forEach((square, head) => {
        square.style.setProperty("--head", palette.head(head, count));
        square.style.setProperty("--on", palette.onHead(head));
        square.setAttribute("aria-pressed", String(heads.includes(head)));
      });
    },
  };
}

// The weights of a map from which lines are drawn, [query, key, weight].
function* cellsOf(map, isSmall) {
  for (let query = 0; query < map.shape[0]; query++) {
    if (isSmall) {
      const row = map.row(query);
      for (let key = 0; key < row.length; key++) yield [query, key, row[key]];
    } else for (const { key, weight } of map.top(query)) yield [query, key, weight];
  }
}

function between({ data, store, palette }) {
  const [all, chosen] = ["all", "chosen"].map((name) => makeSvg("g", { class: name }));
  const element = makeLines(all, chosen);

  // One path for each head and shade of its lines.
  function draw(group, maps, cells) {
    const heads = headsShown(store.state, data);
    const count = data.layers[store.state.layer].maps.length;
    const max = Math.max(...maps.map((map) => map.max)) || 1;
    const paths = maps.flatMap((map, i) => {
      const shades = Array.from({ length: SHADES }, () => []);
      for (const [query, key, weight] of cells(map)) {
        const fraction = weight / max;
        if (fraction > FAINTEST) {
          shades[Math.min(SHADES - 1, Math.floor(fraction * SHADES))].push(curve(query, key));
        }
      }
      return shades.map((curves, shade) => curves.length && makeSvg("path", {
        d: curves.join(""), fill: "none", stroke: palette.head(heads[i], count),
        "data-head": heads[i], "data-lines": curves.length, "stroke-width": 1 + 2 * (shade / SHADES),
        "vector-effect": "non-scaling-stroke", opacity: ((shade + 0.75) / SHADES).toFixed(2) }));
    });
    group.replaceChildren(...paths.filter(Boolean));
  }

  return {
    element,

    draw(pickers, map) {
      const [queries, keys] = map.shape;
      sizeLines(element, Math.max(queries, keys));
      const maps = mapsOf(map, store, data);
      draw(all, maps, (each) => cellsOf(each, queries * keys * maps.length <= MOST_CELLS));
    },

    point({ query, key }, map) {
      const pointed = query !== null || key !== null;
      fade(all, pointed ? 0.07 : 1);
      draw(chosen, pointed ? mapsOf(map, store, data) : [], (each) => [
        ...(query === null ? [] : [...each.row(query)].map((weight, i) => [query, i, weight])),
        ...(key === null ? [] : [...each.column(key)].map((weight, i) => [i, key, weight]))]);
    },

    picture: (box) => drawLines(box, [all, chosen]),
  };
}

const mapsOf = (map, store, data) =>
  (headsShown(store.state, data).length ? map.maps ?? [map] : []);

// A stripe for each head over a token, as strong as its weight.
function paint(pickers, map, { query, key }, { data, store, palette }) {
  const heads = headsShown(store.state, data);
  const count = data.layers[store.state.layer].maps.length;
  const colors = heads.map((head) => palette.head(head, count));
  const maps = mapsOf(map, store, data);
  const max = Math.max(...maps.map((each) => each.max)) || 1;
  const stripes = (weights) => `linear-gradient(to right, ${weights.map((weight, i) =>
    `${colors[i]}${alpha(weight / max)} ${(100 * i) / weights.length}% ${
      (100 * (i + 1)) / weights.length}%`).join(", ")})`;
  const rows = query === null ? [] : maps.map((each) => each.row(query));
  const columns = key === null ? [] : maps.map((each) => each.column(key));
  for (const [picker, lists] of [[pickers.key, rows], [pickers.query, columns]]) {
    picker.items.forEach((item, i) => {
      const seen = lists.some((list) => list[i] > FAINTEST * max);
      if (seen) item.style.background = stripes(lists.map((list) => list[i]));
      else if (item.style.background) item.style.background = "";
    });
  }
}

const alpha = (fraction) => Math.round(STRONGEST * Math.min(1, fraction)).toString(16).padStart(2, "0");

// For each head, the key that a query attends to most.
function lists(map, { queries, keys }, { query, key }, { data, store, palette }) {
  const heads = headsShown(store.state, data);
  const count = data.layers[store.state.layer].maps.length;
  const section = (heading, names, weightsOf, isExact) => make("section", {},
    make("h2", {}, heading), make("ol", {}, ...mapsOf(map, store, data).map((each, i) => {
      const weights = weightsOf(each);
      const most = best(weights);
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = palette.head(heads[i], count);
      return make("li", {}, make("span", { class: "name" }, swatch, say`head ${heads[i]}: ${
        most < 0 ? say`nothing` : nameOf(names, most)}`),
      make("span", { class: "place" }, most < 0 ? "" : String(most)),
      make("span", { class: "value" }, most < 0 ? "" : formatWeight(weights[most], isExact(each, most))));
    })));
  return [
    ...(query === null ? [] : [section(say`${nameOf(queries, query)} attends most to, by head`, keys,
      (each) => each.row(query), (each, i) => each.isExact(query, i))]),
    ...(key === null ? [] : [section(say`Attends most to ${nameOf(keys, key)}, by head`, queries,
      (each) => each.column(key), (each, i) => each.isExact(i, key))]),
  ];
}

function note(map, active, gold, { data, store }) {
  const count = headsShown(store.state, data).length;
  const total = data.layers[store.state.layer].maps.length;
  return count ? say`Mean of ${count} of ${total} heads.` : say`No head is switched on.`;
}

// For each query and head, the key that is attended to most.
function table(map, { queries, keys }, { data, store }) {
  const heads = headsShown(store.state, data);
  const maps = mapsOf(map, store, data);
  const strongest = (each, query) => {
    const [{ key, weight }] = each.top(query);
    return weight > 0 ? `${keys?.[key] ?? key} ${Number(weight.toPrecision(3))}` : "";
  };
  return [[say`query`, ...heads.map((head) => say`head ${head}`)],
    ...Array.from({ length: map.shape[0] }, (_, query) =>
      [queries?.[query] ?? query, ...maps.map((each) => strongest(each, query))])];
}

const load = (data, state) => {
  const heads = headsShown(state, data);
  return data.pickHeads(state, heads.length ? heads : [0]);
};

export const createView = (context) => createPair(context,
  { name: "alignment heads-view", side: textSide, headings: (query, key) => [
    say`Keys: weight for ${query}, a stripe a head`,
    say`Queries: weight on ${key}, a stripe a head`], load, above, between, paint, lists, note, table });
