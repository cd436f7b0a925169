// A map on a canvas with zoom, pan, crosshair and labels, for the matrix and compare views.

import { make, nameOf } from "../dom.js";
import { Geometry, sizesFor } from "./geometry.js";
import { drawPicture } from "./picture.js";

const FONT = "11px system-ui, sans-serif";
const MAX_LABEL_WIDTH = 130;
const LABEL_ANGLE = -Math.PI / 3;
const MIN_DRAG = 4;

/** Draws a map; `act` has the callbacks hover(cell), select(cell) and zoom(zoom). */
export class MapPanel {
  constructor(palette, act, label) {
    this.palette = palette;
    this.act = act;
    this.base = make("canvas", { class: "map", "aria-hidden": "true" });
    this.over = make("canvas", {
      class: "map over", tabindex: "0", role: "application", "aria-label": label,
      "aria-roledescription": "attention matrix",
      onpointermove: (event) => this.move(event),
      onpointerdown: (event) => this.press(event),
      onpointerup: (event) => this.release(event),
      onpointerleave: () => act.hover(null),
      onwheel: (event) => this.wheel(event),
    });
    this.element = make("div", { class: "panel" }, this.base, this.over);
  }

  /** Sets what to show, and the `space` for it; `paint` or `draw` then shows it. */
  set({ map, labels, matched, zoom, space }) {
    Object.assign(this, { map, labels, matched });
    this.sizes = sizesFor(map.shape, this.roomForLabels(), space);
    this.geometry = new Geometry(map.shape, this.roomForLabels(), this.sizes, zoom);
  }

  roomForLabels() {
    const context = this.base.getContext("2d");
    context.font = FONT;
    const widest = (labels, count) => Math.min(MAX_LABEL_WIDTH, (labels ?? [count]).reduce(
      (width, _, i) => Math.max(width, context.measureText(nameOf(labels, labels ? i : count)).width), 8));
    const [queries, keys] = this.map.shape;
    return { left: Math.ceil(widest(this.labels.queries, queries)) + 12,
      top: Math.ceil(widest(this.labels.keys, keys) * -Math.sin(LABEL_ANGLE)) + 16,
      right: Math.ceil(widest(this.labels.keys?.slice(-2), keys) * Math.cos(LABEL_ANGLE)) };
  }

  /** Colors every cell by `rgb(weight, query)`, hidden ones gray, and draws. */
  paint(rgb) {
    const [queries, keys] = this.map.shape;
    const image = new ImageData(keys, queries);
    const hidden = this.palette.parsed("rule");
    for (let query = 0; query < queries; query++) {
      const row = this.map.row(query);
      for (let key = 0; key < keys; key++) {
        const [r, g, b] = this.map.isHidden?.(query, key) ? hidden : rgb(row[key], query);
        const offset = 4 * (query * keys + key);
        image.data[offset] = r;
        image.data[offset + 1] = g;
        image.data[offset + 2] = b;
        image.data[offset + 3] = 255;
      }
    }
    this.cells = new OffscreenCanvas(keys, queries);
    this.cells.getContext("2d").putImageData(image, 0, 0);
    this.draw();
  }

  draw() {
    const context = sized(this.base, this.sizes);
    const { left, top, x, y, columns, rows, cell } = this.geometry;
    context.imageSmoothingEnabled = cell * devicePixelRatio < 1;
    context.drawImage(this.cells, x, y, columns, rows, left, top, columns * cell, rows * cell);
    context.strokeStyle = this.palette.named("rule");
    context.strokeRect(left - 0.5, top - 0.5, columns * cell + 1, rows * cell + 1);
    context.font = FONT;
    context.textBaseline = "middle";
    for (const axis of ["query", "key"]) this.drawLabels(context, axis);
  }

  drawLabels(context, axis) {
    const labels = axis === "query" ? this.labels.queries : this.labels.keys;
    for (const { index, strong } of this.geometry.ticks(axis, this.matched[axis])) {
      context.save();
      context.fillStyle = this.palette.named(strong ? "wrong" : "ink");
      context.textAlign = axis === "query" ? "right" : "left";
      context.translate(...this.geometry.labelAt(axis, index));
      if (axis === "key") context.rotate(LABEL_ANGLE);
      context.fillText(nameOf(labels, index), 0, 0, MAX_LABEL_WIDTH);
      context.restore();
    }
  }

  /** Draws the selected cell, the cell that is pointed at, and the known links. */
  drawCross(chosen, hovered, gold) {
    const context = sized(this.over, this.sizes);
    const { left, top, columns, rows, cell } = this.geometry;
    context.beginPath();
    context.rect(left - 1, top - 1, columns * cell + 2, rows * cell + 2);
    context.clip();
    const outline = (color, width, cells, dashes = []) => {
      context.strokeStyle = this.palette.named(color);
      context.lineWidth = width;
      context.setLineDash(dashes);
      for (const { query, key } of cells) this.outline(context, query, key);
    };
    const links = (pairs) => pairs.map(([query, key]) => ({ query, key }));
    if (gold) outline("truth", 1.6, links(gold.sure));
    if (gold) outline("truth", 1.2, links(gold.possible), [3, 2]);
    for (const [{ query, key } = {}, color] of [[chosen, "right"], [hovered ?? {}, "ink"]]) {
      context.globalAlpha = 0.55;
      outline(color, 1, [{ query, key: null }, { query: null, key }]);
      context.globalAlpha = 1;
      outline(color, 1.6, [{ query, key }]);
    }
  }

  // Outlines a cell, or a whole row or column if one of the two is null.
  outline(context, query, key) {
    if ((query ?? key ?? null) === null) return;
    const { left, top, x, y, cell } = this.geometry;
    const [queries, keys] = this.map.shape;
    const [across, down] = [key ?? 0, query ?? 0];
    context.strokeRect(left + (across - x) * cell, top + (down - y) * cell,
      (key ?? null) === null ? keys * cell : cell, (query ?? null) === null ? queries * cell : cell);
  }

  cellAt(event) {
    const box = this.over.getBoundingClientRect();
    return this.geometry.cellAt(event.clientX - box.left, event.clientY - box.top);
  }

  move(event) {
    if (!this.pressed || !event.buttons) {
      this.act.hover(this.cellAt(event));
      return;
    }
    const { geometry, clientX, clientY } = this.pressed;
    const [dx, dy] = [clientX - event.clientX, clientY - event.clientY];
    if (!geometry.zoom || Math.hypot(dx, dy) < MIN_DRAG) return;
    this.pressed.dragged = true;
    this.act.zoom(geometry.moved(dx, dy));
  }

  press({ clientX, clientY, pointerId }) {
    this.over.focus();
    this.over.setPointerCapture(pointerId);
    this.pressed = { geometry: this.geometry, clientX, clientY };
  }

  release(event) {
    const cell = this.cellAt(event);
    if (this.pressed && !this.pressed.dragged && cell) this.act.select(cell);
    this.pressed = null;
  }

  wheel(event) {
    const cell = this.cellAt(event);
    if (!cell) return;
    event.preventDefault();
    this.act.zoom(this.geometry.zoomed(Math.exp(event.deltaY / 400), cell));
  }

  /** Moves the selection or zooms; returns whether it handled the key. */
  keydown(event, store) {
    const [queries, keys] = this.map.shape;
    const current = { query: store.state.query ?? 0, key: store.state.key ?? 0 };
    const by = event.shiftKey ? 10 : 1;
    const zooms = { "+": 0.7, "=": 0.7, "-": 1 / 0.7 };
    const moves = {
      ArrowUp: { query: current.query - by }, ArrowDown: { query: current.query + by },
      ArrowLeft: { key: current.key - by }, ArrowRight: { key: current.key + by },
      Home: { key: 0 }, End: { key: keys - 1 }, PageUp: { query: 0 }, PageDown: { query: queries - 1 },
    };
    if (event.key in zooms) this.act.zoom(this.geometry.zoomed(zooms[event.key], current));
    else if (event.key === "0") this.act.zoom(null);
    else if (event.key in moves) {
      const moved = { ...current, ...moves[event.key] };
      const within = (value, count) => Math.max(0, Math.min(count - 1, value));
      const cell = { query: within(moved.query, queries), key: within(moved.key, keys) };
      store.set({ ...cell, zoom: this.geometry.revealing(cell) });
    } else return false;
    return true;
  }

  /** Returns the visible part as SVG. */
  picture() {
    return drawPicture(this);
  }
}

function sized(canvas, { width, height }) {
  const ratio = devicePixelRatio;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return context;
}
