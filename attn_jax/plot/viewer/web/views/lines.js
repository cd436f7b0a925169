// Lines between two columns of tokens, on an SVG that is as wide as the room between them.

import { makeSvg } from "../dom.js";

const WIDTH = 240;
const ROW = 26; // as in the style sheet

/** Returns the path from a query on the left to a key on the right. */
export function curve(query, key) {
  const [from, to] = [ROW * (query + 0.5), ROW * (key + 0.5)];
  const bend = WIDTH / 2;
  return `M0 ${from}C${bend} ${from} ${bend} ${to} ${WIDTH} ${to}`;
}

export const makeLines = (...groups) => makeSvg("svg", { class: "lines", "aria-hidden": "true",
  preserveAspectRatio: "none" }, ...groups);

export function sizeLines(element, rows) {
  element.setAttribute("height", ROW * rows);
  element.setAttribute("viewBox", `0 0 ${WIDTH} ${ROW * rows}`);
}

/** Returns copies of groups of lines, drawn into a box. */
export const drawLines = ({ x, y, width }, groups) => [makeSvg("g",
  { transform: `translate(${x} ${y}) scale(${width / WIDTH} 1)` },
  ...groups.map((group) => group.cloneNode(true)))];
