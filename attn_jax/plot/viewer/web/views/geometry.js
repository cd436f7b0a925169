// Where the cells of a map lie on its canvas, and how zooming and moving change that.

const SMALLEST_SPAN = 4;
const LARGEST_CELL = 40;
// Lines of text nearer than this cannot be read.
const BETWEEN_LABELS = { query: 12, key: 15 };

/** The size of a canvas for a map within `space`, given the `room` that its labels take. */
export function sizesFor([queries, keys], room, space) {
  const cell = Math.min((space.width - room.left) / keys, (space.height - room.top) / queries,
    LARGEST_CELL);
  return { width: Math.ceil(room.left + cell * keys) + 2,
    height: Math.ceil(room.top + cell * queries) + 2 };
}

/** `zoom` is null, for the whole map, or [keys across, first key, first query]. */
export class Geometry {
  constructor(shape, room, sizes, zoom) {
    const [queries, keys] = shape;
    const width = sizes.width - room.left - 2;
    const height = sizes.height - room.top - 2;
    this.whole = Math.min(width / keys, height / queries);
    const [span, x, y] = zoom ?? [width / this.whole, 0, 0];
    Object.assign(this, { shape, width, height, span, x, y, zoom }, room);
    this.cell = width / span;
    this.columns = Math.min(span, keys - x);
    this.rows = Math.min(height / this.cell, queries - y);
  }

  /** The cell at a place of the canvas, or null. */
  cellAt(left, top) {
    const across = (left - this.left) / this.cell;
    const down = (top - this.top) / this.cell;
    const inside = across >= 0 && across < this.columns && down >= 0 && down < this.rows;
    return inside ? { query: Math.floor(this.y + down), key: Math.floor(this.x + across) } : null;
  }

  /** The zoom that shows `factor` times as many cells and leaves one where it is. */
  zoomed(factor, { query, key }) {
    const span = Math.max(Math.min(SMALLEST_SPAN, this.shape[1]), this.span * factor);
    const kept = span / this.span;
    return this.within([span, key - (key - this.x) * kept, query - (query - this.y) * kept]);
  }

  /** The zoom after moving by so many pixels. */
  moved(dx, dy) {
    return this.within([this.span, this.x + dx / this.cell, this.y + dy / this.cell]);
  }

  /** The zoom moved as little as makes a cell seen. */
  revealing({ query, key }) {
    const into = (first, count, place) =>
      Math.min(place, Math.max(first, place + 1 - Math.floor(count)));
    return this.within([this.span, into(this.x, this.span, key),
      into(this.y, this.height / this.cell, query)]);
  }

  within([span, x, y]) {
    if (this.width / span <= this.whole) return null;
    const rows = (this.height * span) / this.width;
    const clamp = (value, most) => round(Math.max(0, Math.min(value, most)));
    return [round(span), clamp(x, this.shape[1] - span), clamp(y, this.shape[0] - rows)];
  }

  /** The queries or keys to label: as many as there is room for, and all that were found. */
  ticks(axis, found) {
    const [first, count, size] = axis === "query" ? [this.y, this.rows, this.shape[0]]
      : [this.x, this.columns, this.shape[1]];
    const step = roundStep(BETWEEN_LABELS[axis] / this.cell);
    const ticks = [];
    for (let index = Math.floor(first); index < Math.min(first + count, size); index++) {
      const seen = index + 0.5 >= first && index + 0.5 <= first + count;
      const strong = found.has(index);
      if (seen && (strong || index % step === 0)) ticks.push({ index, strong });
    }
    return ticks;
  }

  /** The place of a query's or key's label. */
  labelAt(axis, index) {
    return axis === "query" ? [this.left - 6, this.top + (index + 0.5 - this.y) * this.cell]
      : [this.left + (index + 0.5 - this.x) * this.cell, this.top - 6];
  }
}

const round = (value) => Math.round(100 * value) / 100;

/** The least of 1, 2, 5, 10, 20 … that is not less than `wanted`. */
function roundStep(wanted) {
  let step = 1;
  for (let i = 0; step < wanted; i++) step *= [2, 2.5, 2][i % 3];
  return step;
}
