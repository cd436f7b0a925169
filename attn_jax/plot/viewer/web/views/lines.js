// Lines between two columns of tokens, on an SVG that is as wide as the room between them.

import { make, makeSvg } from "../dom.js";

const WIDTH = 240;
const ROW = 26; // as in the style sheet

/** Returns the path from a query on the left to a key on the right. */
export function curve(query, key) {
  const [from, to] = [ROW * (query + 0.5), ROW * (key + 0.5)];
  const bend = WIDTH / 2;
  return `M0 ${from}C${bend} ${from} ${bend} ${to} ${WIDTH} ${to}`;
}

/** Creates an element with a layer for each group: fading one does not draw the others again. */
export const makeLines = (...groups) => make("div", { class: "lines", "aria-hidden": "true" },
  ...groups.map((group) => makeSvg("svg", { preserveAspectRatio: "none" }, group)));

export function sizeLines(element, rows) {
  element.style.height = `${ROW * rows}px`;
  for (const layer of element.children) layer.setAttribute("viewBox", `0 0 ${WIDTH} ${ROW * rows}`);
}

/** Fades the layer of a group. */
export function fade(group, opacity) {
  group.parentNode.style.opacity = opacity;
}

/** Returns copies of groups of lines, drawn into a box. */
export const drawLines = ({ x, y, width }, groups) => [makeSvg("g",
  { transform: `translate(${x} ${y}) scale(${width / WIDTH} 1)` },
  ...groups.map((group) => makeSvg("g", { opacity: group.parentNode.style.opacity || 1 },
    group.cloneNode(true))))];
