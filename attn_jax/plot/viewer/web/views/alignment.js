// Two columns of tokens with lines between them, as for a translation; known links are outlined.

import { makeSvg } from "../dom.js";
import { say } from "../language.js";
import { largest } from "../ranking.js";
import { curve, drawLines, fade, makeLines, sizeLines } from "./lines.js";
import { createPair } from "./pair.js";
import { textSide } from "./tokens.js";

export const title = () => say`Alignment`;
export const isAvailable = (data) => data.layers.some(
  ({ labels }) => labels.queries !== null && labels.keys !== null);
export const uses = ["layer", "head", "search"];

const FAINTEST = 0.04;
const MAX_LINES = 64;

// Queries are on the left, keys on the right.
const line = ([query, key], attributes) => makeSvg("path", { fill: "none", "data-query": query,
  "data-key": key, "vector-effect": "non-scaling-stroke", ...attributes, d: curve(query, key) });

function between({ palette }) {
  const [outlines, all, chosen] = ["outlines", "all", "chosen"].map((name) =>
    makeSvg("g", { class: name }));
  const element = makeLines(outlines, all, chosen);

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
      sizeLines(element, Math.max(queries, keys));
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
      fade(all, query === null && key === null ? 1 : 0.15);
      const row = query === null ? [] : map.row(query);
      const column = key === null ? [] : map.column(key);
      chosen.replaceChildren(
        ...largest(row, MAX_LINES).map((i) => weighed(query, i, row[i] / map.max)),
        ...largest(column, MAX_LINES).map((i) => weighed(i, key, column[i] / map.max)));
    },

    picture: (box) => drawLines(box, [outlines, all, chosen]),
  };
}

// Counts the queries whose largest weight is on a known link.
function note(map, active, gold) {
  if (!gold) return "";
  const known = Map.groupBy([...gold.sure, ...gold.possible], ([query]) => query);
  const right = [...known].filter(([query, links]) =>
    links.some(([, key]) => key === map.top(query)[0].key));
  return say`${right.length} of ${known.size} queries with a known link attend to it most.`;
}

export const createView = (context) =>
  createPair(context, { name: "alignment", side: textSide, between, note });
