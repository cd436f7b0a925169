// The positions of a map's cells on its canvas, under zooming and panning.

const SMALLEST_SPAN = 4;
const LARGEST_CELL = 64;
// A map in a low window is as tall as this allows; the window then scrolls.
const COMFORTABLE_CELL = 32;
const COMFORTABLE_HEIGHT = 560;
// Labels closer than this overlap.
const LABEL_SPACING = { query: 12, key: 15 };

/** Returns the size of a canvas for a map within `space`, with `room` for its labels. */
export function sizesFor([queries, keys], room, space) {
  const height = Math.max(space.height - room.top,
    Math.min(queries * COMFORTABLE_CELL, COMFORTABLE_HEIGHT));
  const cell = Math.min((space.width - room.left - room.right) / keys, height / queries, LARGEST_CELL);
  return { width: Math.ceil(room.left + cell * keys + room.right) + 2,
    height: Math.ceil(room.top + cell * queries) + 2 };
}

/** `zoom` is null for the whole map, or [keys across, first key, first query]. */
export class Geometry {
  constructor(shape, room, sizes, zoom) {
    const [queries, keys] = shape;
    const width = sizes.width - room.left - room.right - 2;
    const height = sizes.height - room.top - 2;
    this.whole = Math.min(width / keys, height / queries);
    const [span, x, y] = zoom ?? [width / this.whole, 0, 0];
    Object.assign(this, { shape, width, height, span, x, y, zoom }, room);
    this.cell = width / span;
    this.columns = Math.min(span, keys - x);
    this.rows = Math.min(height / this.cell, queries - y);
  }

  /** Returns the cell at a position on the canvas, or null. */
  cellAt(left, top) {
    const across = (left - this.left) / this.cell;
    const down = (top - this.top) / this.cell;
    const inside = across >= 0 && across < this.columns && down >= 0 && down < this.rows;
    return inside ? { query: Math.floor(this.y + down), key: Math.floor(this.x + across) } : null;
  }

  /** Returns the zoom that shows `factor` times as many cells and keeps one in place. */
  zoomed(factor, { query, key }) {
    const span = Math.max(Math.min(SMALLEST_SPAN, this.shape[1]), this.span * factor);
    const ratio = span / this.span;
    return this.within([span, key - (key - this.x) * ratio, query - (query - this.y) * ratio]);
  }

  /** Returns the zoom after panning by a number of pixels. */
  moved(dx, dy) {
    return this.within([this.span, this.x + dx / this.cell, this.y + dy / this.cell]);
  }

  /** Returns the zoom panned just enough to show a cell. */
  revealing({ query, key }) {
    const into = (first, count, place) =>
      Math.min(place, Math.max(first, place + 1 - Math.floor(count)));
    return this.within([this.span, into(this.x, this.span, key),
      into(this.y, this.height / this.cell, query)]);
  }

  within([span, x, y]) {
    if (this.width / span <= this.whole) return null;
    const rows = (this.height * span) / this.width;
    const clamp = (value, max) => round(Math.max(0, Math.min(value, max)));
    return [round(span), clamp(x, this.shape[1] - span), clamp(y, this.shape[0] - rows)];
  }

  /** Returns the queries or keys to label: as many as there is room for, and all that match. */
  ticks(axis, matched) {
    const [first, count, size] = axis === "query" ? [this.y, this.rows, this.shape[0]]
      : [this.x, this.columns, this.shape[1]];
    const step = roundStep(LABEL_SPACING[axis] / this.cell);
    const ticks = [];
    for (let index = Math.floor(first); index < Math.min(first + count, size); index++) {
      const visible = index + 0.5 >= first && index + 0.5 <= first + count;
      const strong = matched.has(index);
      if (visible && (strong || index % step === 0)) ticks.push({ index, strong });
    }
    return ticks;
  }

  /** Returns the position of the label of a query or key. */
  labelAt(axis, index) {
    return axis === "query" ? [this.left - 6, this.top + (index + 0.5 - this.y) * this.cell]
      : [this.left + (index + 0.5 - this.x) * this.cell, this.top - 6];
  }
}

const round = (value) => Math.round(100 * value) / 100;

/** Returns the smallest of 1, 2, 5, 10, 20 … that is at least `minimum`. */
function roundStep(minimum) {
  let step = 1;
  for (let i = 0; step < minimum; i++) step *= [2, 2.5, 2][i % 3];
  return step;
}
