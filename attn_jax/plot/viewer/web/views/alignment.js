// Two columns of tokens with lines between them, as for a translation; known links are outlined.

import { makeSvg } from "../dom.js";
import { largest } from "../ranking.js";
import { createPair } from "./pair.js";
import { textSide } from "./tokens.js";

export const title = "Alignment";
export const isAvailable = (data) => data.layers.some(
  ({ labels }) => labels.queries !== null && labels.keys !== null);
export const uses = ["layer", "head", "search"];

const WIDTH = 240;
const ROW = 26; // as in the style sheet
const FAINTEST = 0.04;
const MAX_LINES = 64;

// Queries are on the left, keys on the right.
function line([query, key], attributes) {
  const [from, to] = [ROW * (query + 0.5), ROW * (key + 0.5)];
  const bend = WIDTH / 2;
  return makeSvg("path", { fill: "none", "data-query": query, "data-key": key, ...attributes,
    d: `M0 ${from}C${bend} ${from} ${bend} ${to} ${WIDTH} ${to}` });
}

function between({ palette }) {
  const [outlines, all, chosen] = ["outlines", "all", "chosen"].map((name) =>
    makeSvg("g", { class: name }));
  const element = makeSvg("svg", { class: "lines", width: WIDTH, "aria-hidden": "true" },
    outlines, all, chosen);

  const weighed = (query, key, fraction) => line([query, key], {
    stroke: palette.css(fraction), "stroke-width": 1 + 3 * fraction });
  const outline = (link, dashes) => [
    line(link, { class: "gold", stroke: palette.named("truth"), "stroke-width": 7,
      "stroke-dasharray": dashes }),
    line(link, { stroke: palette.named("paper"), "stroke-width": 4 })];

  return {
    element,

    draw(pickers, map, gold) {
      const [queries, keys] = map.shape;
      element.setAttribute("height", ROW * Math.max(queries, keys));
      outlines.replaceChildren(...(gold ? [
        ...gold.possible.flatMap((link) => outline(link, "6 4")),
        ...gold.sure.flatMap((link) => outline(link, null))] : []));
      const lines = Array.from({ length: queries }, (_, query) => map.top(query)
        .filter(({ weight }) => weight > FAINTEST * map.max)
        .map(({ key, weight }) => weighed(query, key, weight / map.max)));
      all.replaceChildren(...lines.flat());
    },

    // Highlights the lines of the active query and key, and fades the others.
    point({ query, key }, map) {
      all.setAttribute("opacity", query === null && key === null ? 1 : 0.15);
      const row = query === null ? [] : map.row(query);
      const column = key === null ? [] : map.column(key);
      chosen.replaceChildren(
        ...largest(row, MAX_LINES).map((i) => weighed(query, i, row[i] / map.max)),
        ...largest(column, MAX_LINES).map((i) => weighed(i, key, column[i] / map.max)));
    },

    picture({ x, y }) {
      return [makeSvg("g", { transform: `translate(${x} ${y})` },
        ...[outlines, all, chosen].map((group) => group.cloneNode(true)))];
    },
  };
}

// Counts the queries whose largest weight is on a known link.
function note(map, active, gold) {
  if (!gold) return "";
  const known = Map.groupBy([...gold.sure, ...gold.possible], ([query]) => query);
  const right = [...known].filter(([query, links]) =>
    links.some(([, key]) => key === map.top(query)[0].key));
  return `${right.length} of ${known.size} queries with a known link attend to it most.`;
}

export const createView = (context) =>
  createPair(context, { name: "alignment", side: textSide, between, note });
