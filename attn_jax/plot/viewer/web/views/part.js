// A part or a coarse version of a map that is too large to show: its cells are not the tokens.

import { make } from "../dom.js";
import { coloring } from "../shade.js";
import { MapPanel } from "./panel.js";

export const AXES = ["query", "key"];

/** Shows such a map; `point` takes the tokens of the cell that is pointed at, or null. */
export class Part {
  constructor(palette, store, label, point) {
    this.palette = palette;
    this.store = store;
    this.panel = new MapPanel(palette, {
      hover: (cell) => point(cell && this.tokens(cell)),
      select: (cell) => store.set(this.tokens(cell)),
      zoom: (zoom) => {
        this.zoomTo(zoom);
        this.panel.draw();
        point(null);
      },
    }, label);
    this.figure = make("figure", {}, make("figcaption", {}, label.split(/[:：]/)[0]), this.panel.element);
  }

  show({ map, labels, places, matched, scale, space }) {
    this.figure.hidden = !map;
    if (!map) return;
    const zoom = this.shown?.map === map ? this.zoom : null;
    this.shown = { map, labels, matched, space };
    this.places = places;
    this.zoomTo(zoom);
    this.panel.paint(coloring(map, scale, this.palette));
  }

  zoomTo(zoom) {
    this.zoom = zoom;
    this.panel.set({ ...this.shown, zoom });
  }

  tokens(cell) {
    return Object.fromEntries(AXES.filter((axis) => axis in cell).map((axis) =>
      [axis, this.places.from(cell[axis], AXES.indexOf(axis))]));
  }

  cell(token) {
    return Object.fromEntries(AXES.map((axis, i) =>
      [axis, token[axis] === null ? null : this.places.to(token[axis], i)]));
  }

  cross(active, pointed) {
    if (this.figure.hidden) return;
    this.panel.drawCross(this.cell(this.store.state), pointed && this.cell(active), null);
  }

  contains(target) {
    return this.panel.element.contains(target);
  }

  keydown(event) {
    if (this.figure.hidden) return false;
    const part = this;
    return this.panel.keydown(event, {
      get state() {
        return part.cell(part.store.state);
      },
      set(cell) {
        part.zoomTo(cell.zoom);
        part.store.set(part.tokens(cell));
      },
    });
  }
}
