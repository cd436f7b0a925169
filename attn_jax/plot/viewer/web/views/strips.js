// Vectors as strips of colored cells, one strip below the other: blue above zero, orange below.

import { make } from "../dom.js";

// Pixels of a strip, and the one between it and the next.
const [STRIP, GAP] = [5, 1];

/** A canvas of strips; `point(row, feature)` takes the cell that is pointed at, or null. */
export class Strips {
  constructor(palette, point) {
    this.palette = palette;
    this.element = make("canvas", { class: "strips", "aria-hidden": "true",
      onpointermove: (event) => point(...this.cellAt(event)),
      onpointerleave: () => point(null, null) });
  }

  cellAt(event) {
    const box = this.element.getBoundingClientRect();
    const place = (at, size, count) => Math.max(0, Math.min(count - 1, Math.floor((at / size) * count)));
    return [place(event.clientY - box.top, box.height, this.rows.length),
      place(event.clientX - box.left, box.width, this.rows[0].length)];
  }

  /** Draws rows of numbers, `max` in the strongest color; `isFaint(row)` tells rows without color. */
  draw(rows, max, isFaint = () => false) {
    this.rows = rows;
    const size = rows[0].length;
    const pitch = STRIP + GAP;
    Object.assign(this.element, { width: size, height: rows.length * pitch });
    const image = new ImageData(size, rows.length * pitch);
    const [paper, more, less] = ["paper", "right", "wrong"].map((name) => this.palette.parsed(name));
    rows.forEach((row, y) => row.forEach((value, x) => {
      const fraction = isFaint(y) ? 0 : Math.min(1, Math.abs(value) / (max || 1));
      const end = value < 0 ? less : more;
      const color = paper.map((channel, i) => channel + (end[i] - channel) * fraction);
      for (let line = 0; line < pitch; line++) {
        image.data.set([...(line < STRIP ? color : paper), 255], 4 * ((y * pitch + line) * size + x));
      }
    }));
    this.element.getContext("2d").putImageData(image, 0, 0);
  }
}

/** Returns the largest size of a number in several rows. */
export const largestSize = (rows) =>
  rows.reduce((all, row) => row.reduce((a, b) => Math.max(a, Math.abs(b)), all), 0);
