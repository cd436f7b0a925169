// A line of one number for each token: for too many tokens, the mean of neighbors, in a band from
// their minimum to their maximum.

import { makeSvg } from "./dom.js";
import { say } from "./language.js";

const HEIGHT = 104;
const MARGIN = { left: 62, right: 8, top: 22, bottom: 6 };
const MAX_MATCHES = 500;

const short = (number) => String(Number(number.toPrecision(3)));

export class LineChart {
  /** `act` has callbacks {pick, point} that take a token; `point` also takes null. */
  constructor(palette, title, act) {
    Object.assign(this, { palette, title });
    this.element = makeSvg("svg", {
      class: "chart", role: "img", height: HEIGHT, "font-size": 11,
      onpointermove: (event) => act.point(this.tokenAt(event)),
      onpointerleave: () => act.point(null),
      onclick: (event) => act.pick(this.tokenAt(event)),
    });
    this.cursor = makeSvg("path", { class: "cursor", "stroke-width": 1 });
  }

  tokenAt(event) {
    const x = event.clientX - this.element.getBoundingClientRect().left - MARGIN.left;
    return Math.max(0, Math.min(this.values.length - 1, Math.floor((x / this.width) * this.values.length)));
  }

  x(token) {
    return MARGIN.left + (this.width * (token + 0.5)) / this.values.length;
  }

  show(values, width, matched) {
    this.values = values;
    this.width = width - MARGIN.left - MARGIN.right;
    const cells = cellsOf(values, Math.floor(this.width));
    const low = Math.min(0, ...cells.map(({ min }) => min));
    const high = Math.max(...cells.map(({ max }) => max));
    const room = HEIGHT - MARGIN.top - MARGIN.bottom;
    const y = (value) => HEIGHT - MARGIN.bottom - (room * (value - low)) / (high - low || 1);
    const path = (points) => points.map(([x, value], i) =>
      `${i ? "L" : "M"}${x.toFixed(1)} ${y(value).toFixed(1)}`).join("");
    const band = [...cells.map(({ middle, max }) => [this.x(middle), max]),
      ...cells.toReversed().map(({ middle, min }) => [this.x(middle), min])];
    const [muted, color] = [this.palette.named("muted"), this.palette.named("right")];
    const text = (content, x, height, anchor) =>
      makeSvg("text", { x, y: height, "text-anchor": anchor, fill: muted }, content);
    this.element.setAttribute("width", width);
    this.element.setAttribute("aria-label",
      say`${this.title}: from ${short(low)} to ${short(high)} over ${values.length} tokens`);
    this.element.replaceChildren(
      text(this.title, MARGIN.left, 13, "start"),
      text(short(high), MARGIN.left - 6, MARGIN.top + 8, "end"),
      text(short(low), MARGIN.left - 6, HEIGHT - MARGIN.bottom, "end"),
      makeSvg("path", { d: `${path(band)}Z`, fill: color, opacity: 0.3 }),
      makeSvg("path", { class: "line", d: path(cells.map(({ middle, mean }) => [this.x(middle), mean])),
        fill: "none", stroke: color }),
      makeSvg("path", { class: "matched", stroke: this.palette.named("wrong"),
        d: [...matched].slice(0, MAX_MATCHES).map((token) => `M${this.x(token)} ${MARGIN.top - 6}v6`).join("") }),
      this.cursor);
    this.cursor.setAttribute("stroke", this.palette.named("ink"));
  }

  point(token) {
    this.cursor.setAttribute("d",
      token === null ? "" : `M${this.x(token)} ${MARGIN.top}V${HEIGHT - MARGIN.bottom}`);
  }
}

// At most `count` cells of neighboring tokens, without tokens whose value is not a number.
function cellsOf(values, count) {
  const cells = Math.min(values.length, count);
  return Array.from({ length: cells }, (_, cell) => {
    const [first, end] = [cell, cell + 1].map((each) => Math.floor((each * values.length) / cells));
    const numbers = values.subarray(first, end).filter(Number.isFinite);
    const sum = numbers.reduce((a, b) => a + b, 0);
    return { middle: (first + end - 1) / 2, mean: sum / numbers.length,
      min: numbers.reduce((a, b) => Math.min(a, b), Infinity),
      max: numbers.reduce((a, b) => Math.max(a, b), -Infinity) };
  }).filter(({ mean }) => Number.isFinite(mean));
}
