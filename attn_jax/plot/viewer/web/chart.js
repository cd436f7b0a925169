// One number for each of very many tokens, as a line: where they are too many, the mean of
// neighbors, in a band from the least to the most.

import { makeSvg } from "./dom.js";

const HEIGHT = 104;
const ROOM = { left: 62, right: 8, top: 22, bottom: 6 };
const MOST_SOUGHT = 500;

const short = (number) => String(Number(number.toPrecision(3)));

export class LineChart {
  /** `act` takes {pick, point}, each given a token, `point` also null. */
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
    const x = event.clientX - this.element.getBoundingClientRect().left - ROOM.left;
    return Math.max(0, Math.min(this.values.length - 1, Math.floor((x / this.width) * this.values.length)));
  }

  x(token) {
    return ROOM.left + (this.width * (token + 0.5)) / this.values.length;
  }

  show(values, width, sought) {
    this.values = values;
    this.width = width - ROOM.left - ROOM.right;
    const cells = cellsOf(values, Math.floor(this.width));
    const low = Math.min(0, ...cells.map(({ least }) => least));
    const high = Math.max(...cells.map(({ most }) => most));
    const room = HEIGHT - ROOM.top - ROOM.bottom;
    const y = (value) => HEIGHT - ROOM.bottom - (room * (value - low)) / (high - low || 1);
    const path = (points) => points.map(([x, value], i) =>
      `${i ? "L" : "M"}${x.toFixed(1)} ${y(value).toFixed(1)}`).join("");
    const band = [...cells.map(({ middle, most }) => [this.x(middle), most]),
      ...cells.toReversed().map(({ middle, least }) => [this.x(middle), least])];
    const [muted, color] = [this.palette.named("muted"), this.palette.named("right")];
    const text = (content, x, height, anchor) =>
      makeSvg("text", { x, y: height, "text-anchor": anchor, fill: muted }, content);
    this.element.setAttribute("width", width);
    this.element.setAttribute("aria-label",
      `${this.title}: from ${short(low)} to ${short(high)} over ${values.length} tokens`);
    this.element.replaceChildren(
      text(this.title, ROOM.left, 13, "start"),
      text(short(high), ROOM.left - 6, ROOM.top + 8, "end"),
      text(short(low), ROOM.left - 6, HEIGHT - ROOM.bottom, "end"),
      makeSvg("path", { d: `${path(band)}Z`, fill: color, opacity: 0.3 }),
      makeSvg("path", { class: "line", d: path(cells.map(({ middle, mean }) => [this.x(middle), mean])),
        fill: "none", stroke: color }),
      makeSvg("path", { class: "sought", stroke: this.palette.named("wrong"),
        d: [...sought].slice(0, MOST_SOUGHT).map((token) => `M${this.x(token)} ${ROOM.top - 6}v6`).join("") }),
      this.cursor);
    this.cursor.setAttribute("stroke", this.palette.named("ink"));
  }

  point(token) {
    this.cursor.setAttribute("d",
      token === null ? "" : `M${this.x(token)} ${ROOM.top}V${HEIGHT - ROOM.bottom}`);
  }
}

// At most `count` cells of neighboring tokens; what is no number is passed over.
function cellsOf(values, count) {
  const cells = Math.min(values.length, count);
  return Array.from({ length: cells }, (_, cell) => {
    const [first, end] = [cell, cell + 1].map((each) => Math.floor((each * values.length) / cells));
    const numbers = values.subarray(first, end).filter(Number.isFinite);
    const sum = numbers.reduce((a, b) => a + b, 0);
    return { middle: (first + end - 1) / 2, mean: sum / numbers.length,
      least: numbers.reduce((a, b) => Math.min(a, b), Infinity),
      most: numbers.reduce((a, b) => Math.max(a, b), -Infinity) };
  }).filter(({ mean }) => Number.isFinite(mean));
}
