// One map on a canvas: zoom, pan, crosshair, labels; the matrix and the comparison are made of it.

import { make, makeSvg, nameOf } from "../dom.js";

const LABEL_ROOM = { left: 104, top: 92 };
const SMALLEST_LABELLED_CELL = 11;
const SMALLEST_SPAN = 4;

/** Draws a map and tells where the pointer is; `act` takes {hover, select, zoom}. */
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
      onpointerleave: () => this.act.hover(null),
      onwheel: (event) => this.wheel(event),
    });
    this.element = make("div", { class: "panel" }, this.base, this.over);
  }

  /** Colours every cell by `rgb(weight, query)`, and draws. */
  paint(rgb) {
    const [queries, keys] = this.map.shape;
    const image = new ImageData(keys, queries);
    for (let query = 0; query < queries; query++) {
      const row = this.map.row(query);
      for (let key = 0; key < keys; key++) {
        const [r, g, b] = rgb(row[key], query);
        const at = 4 * (query * keys + key);
        image.data[at] = r;
        image.data[at + 1] = g;
        image.data[at + 2] = b;
        image.data[at + 3] = 255;
      }
    }
    this.cells = new OffscreenCanvas(keys, queries);
    this.cells.getContext("2d").putImageData(image, 0, 0);
    this.draw();
  }

  /** Where cells lie: the size of one, the first seen, and the place of the plot. */
  geometry() {
    const { width, height } = this.sizes;
    const [queries, keys] = this.map.shape;
    const room = { width: width - LABEL_ROOM.left, height: height - LABEL_ROOM.top };
    const whole = Math.min(room.width / keys, room.height / queries);
    const [span, x, y] = this.zoom ?? [room.width / whole, 0, 0];
    const cell = room.width / span;
    return { ...LABEL_ROOM, cell, x, y, columns: Math.min(span, keys - x),
      rows: Math.min(room.height / cell, queries - y) };
  }

  cellAt(event) {
    const box = this.over.getBoundingClientRect();
    const at = this.geometry();
    const key = Math.floor(at.x + (event.clientX - box.left - at.left) / at.cell);
    const query = Math.floor(at.y + (event.clientY - box.top - at.top) / at.cell);
    const inside = key >= Math.floor(at.x) && key < at.x + at.columns
      && query >= Math.floor(at.y) && query < at.y + at.rows;
    return inside ? { query, key } : null;
  }

  move(event) {
    if (this.pressed && event.buttons) {
      const { cell } = this.geometry();
      const dx = (this.pressed.clientX - event.clientX) / cell;
      const dy = (this.pressed.clientY - event.clientY) / cell;
      if (this.zoom && Math.hypot(dx, dy) * cell > 4) {
        this.dragged = true;
        this.act.zoom(this.within([this.pressed.zoom[0], this.pressed.zoom[1] + dx,
          this.pressed.zoom[2] + dy]));
        return;
      }
    }
    this.act.hover(this.cellAt(event));
  }

  press(event) {
    this.over.focus();
    this.dragged = false;
    this.pressed = { clientX: event.clientX, clientY: event.clientY, zoom: this.zoom };
  }

  release(event) {
    const at = this.cellAt(event);
    if (this.pressed && !this.dragged && at) this.act.select(at);
    this.pressed = null;
  }

  wheel(event) {
    event.preventDefault();
    const at = this.cellAt(event);
    if (at) this.zoomBy(Math.exp(event.deltaY / 400), at);
  }

  /** Makes `factor` times as many cells seen, keeping one where it is. */
  zoomBy(factor, { query, key }) {
    const at = this.geometry();
    const span = (this.sizes.width - at.left) / at.cell;
    const wanted = Math.max(SMALLEST_SPAN, span * factor);
    const kept = wanted / span;
    this.act.zoom(this.within([wanted, key - (key - at.x) * kept, query - (query - at.y) * kept]));
  }

  /** Moves what is seen so that a cell is among it. */
  reveal({ query, key }) {
    if (!this.zoom) return;
    const { x, y, cell } = this.geometry();
    const rows = (this.sizes.height - LABEL_ROOM.top) / cell;
    const into = (first, count, place) =>
      Math.min(place, Math.max(first, place + 1 - Math.floor(count)));
    const next = [this.zoom[0], into(x, this.zoom[0], key), into(y, rows, query)];
    if (next.some((value, i) => value !== this.zoom[i])) this.act.zoom(this.within(next));
  }

  /** Moves what is chosen, or zooms; tells whether the key was one of its own. */
  keydown(event, store) {
    const [queries, keys] = this.map.shape;
    const at = { query: store.state.query ?? 0, key: store.state.key ?? 0 };
    const by = event.shiftKey ? 10 : 1;
    const zooms = { "+": 0.7, "=": 0.7, "-": 1 / 0.7 };
    const moves = {
      ArrowUp: { query: at.query - by }, ArrowDown: { query: at.query + by },
      ArrowLeft: { key: at.key - by }, ArrowRight: { key: at.key + by },
      Home: { key: 0 }, End: { key: keys - 1 }, PageUp: { query: 0 }, PageDown: { query: queries - 1 },
    };
    if (event.key in zooms) this.zoomBy(zooms[event.key], at);
    else if (event.key === "0") this.act.zoom(null);
    else if (!(event.key in moves)) return false;
    else {
      const moved = { ...at, ...moves[event.key] };
      const within = (value, count) => Math.max(0, Math.min(count - 1, value));
      store.set({ query: within(moved.query, queries), key: within(moved.key, keys) });
      this.reveal(store.state);
    }
    return true;
  }

  // Null, for the whole map, where the cells would be smaller than that.
  within([span, x, y]) {
    const [queries, keys] = this.map.shape;
    const room = { width: this.sizes.width - LABEL_ROOM.left,
      height: this.sizes.height - LABEL_ROOM.top };
    const whole = Math.min(room.width / keys, room.height / queries);
    if (room.width / span <= whole) return null;
    const rows = room.height / (room.width / span);
    const clamp = (value, most) => Math.round(100 * Math.max(0, Math.min(value, most))) / 100;
    return [Math.round(100 * span) / 100, clamp(x, keys - span), clamp(y, queries - rows)];
  }

  draw() {
    const context = sized(this.base, this.sizes);
    const at = this.geometry();
    context.imageSmoothingEnabled = at.cell * devicePixelRatio < 1;
    context.drawImage(this.cells, at.x, at.y, at.columns, at.rows,
      at.left, at.top, at.columns * at.cell, at.rows * at.cell);
    context.strokeStyle = this.palette.named("rule");
    context.strokeRect(at.left - 0.5, at.top - 0.5, at.columns * at.cell + 1, at.rows * at.cell + 1);
    this.drawLabels(context, at);
  }

  drawLabels(context, at) {
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (const { text, index, axis, strong } of this.ticks(at)) {
      context.fillStyle = this.palette.named(strong ? "wrong" : "ink");
      context.save();
      if (axis === "query") {
        context.textAlign = "right";
        context.translate(at.left - 6, at.top + (index + 0.5 - at.y) * at.cell);
      } else {
        context.textAlign = "left";
        context.translate(at.left + (index + 0.5 - at.x) * at.cell, at.top - 6);
        context.rotate(-Math.PI / 3);
      }
      context.fillText(text, 0, 0, LABEL_ROOM.left - 10);
      context.restore();
    }
  }

  /** The labels that there is room for; those that are searched for always. */
  ticks(at) {
    const axis = (name, first, count, labels) => {
      const found = this.found?.[name] ?? new Set();
      const every = Math.max(1, Math.ceil(SMALLEST_LABELLED_CELL / at.cell));
      const step = labels && every > 1 ? Math.ceil(every / 2) * 2 : every;
      const shown = [];
      for (let index = Math.ceil(first); index < first + count; index++) {
        const strong = found.has(index);
        if (strong || index % step === 0) {
          shown.push({ text: nameOf(labels, index), index, axis: name, strong });
        }
      }
      return shown;
    };
    return [...axis("query", at.y, at.rows, this.labels.queries),
      ...axis("key", at.x, at.columns, this.labels.keys)];
  }

  /** Draws what is chosen and what is pointed at. */
  drawCross(chosen, hovered, gold) {
    const context = sized(this.over, this.sizes);
    const at = this.geometry();
    context.beginPath();
    context.rect(at.left - 1, at.top - 1, at.columns * at.cell + 2, at.rows * at.cell + 2);
    context.clip();
    for (const [dashes, links] of gold ? [[[], gold.sure], [[3, 2], gold.possible]] : []) {
      context.strokeStyle = this.palette.named("truth");
      context.setLineDash(dashes);
      context.lineWidth = 1.5;
      for (const [query, key] of links) this.outline(context, at, { query, key });
    }
    context.setLineDash([]);
    for (const [cell, colour, width] of [[chosen, "right", 1.5], [hovered, "ink", 1]]) {
      context.strokeStyle = this.palette.named(colour);
      context.lineWidth = width;
      if (cell) this.cross(context, at, cell);
    }
  }

  outline(context, at, { query, key }) {
    context.strokeRect(at.left + (key - at.x) * at.cell, at.top + (query - at.y) * at.cell,
      at.cell, at.cell);
  }

  cross(context, at, { query, key }) {
    const x = at.left + (key - at.x) * at.cell;
    const y = at.top + (query - at.y) * at.cell;
    context.globalAlpha = 0.55;
    if (query !== null) context.strokeRect(at.left, y, at.columns * at.cell, at.cell);
    if (key !== null) context.strokeRect(x, at.top, at.cell, at.rows * at.cell);
    context.globalAlpha = 1;
    if (query !== null && key !== null) this.outline(context, at, { query, key });
  }

  /** What is seen, as SVG. */
  async picture() {
    const { width, height } = this.sizes;
    const at = this.geometry();
    const file = await this.cells.convertToBlob();
    const inner = makeSvg("svg", {
      x: at.left, y: at.top, width: at.columns * at.cell, height: at.rows * at.cell,
      viewBox: `${at.x} ${at.y} ${at.columns} ${at.rows}`, preserveAspectRatio: "none" },
    makeSvg("image", { href: await asUrl(file), width: this.map.shape[1], height: this.map.shape[0],
      preserveAspectRatio: "none", "image-rendering": "pixelated" }));
    const texts = this.ticks(at).map(({ text, index, axis }) => {
      const [x, y] = axis === "query" ? [at.left - 6, at.top + (index + 0.5 - at.y) * at.cell]
        : [at.left + (index + 0.5 - at.x) * at.cell, at.top - 6];
      const turned = axis === "query" ? null : `rotate(-60 ${x} ${y})`;
      return makeSvg("text", { x, y, transform: turned, "font-size": 11, "dominant-baseline": "middle",
        "text-anchor": axis === "query" ? "end" : "start", fill: this.palette.named("ink") }, text);
    });
    return makeSvg("svg", { xmlns: "http://www.w3.org/2000/svg", width, height,
      viewBox: `0 0 ${width} ${height}`, "font-family": "sans-serif" },
    makeSvg("rect", { width, height, fill: this.palette.named("paper") }), inner, ...texts);
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

function asUrl(blob) {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.readAsDataURL(blob);
  });
}
