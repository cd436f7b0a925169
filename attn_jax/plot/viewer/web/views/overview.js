// All heads as thumbnails; a click opens one.

import { make, makeSvg } from "../dom.js";
import { makeImage, makeSheet } from "./picture.js";

export const title = "Heads";
export const isAvailable = (data) => data.maps.length > 1;
export const uses = ["scale", "sort"];

const THUMB = 32;
const TILE = { side: 84, gap: 14, text: 30 };
// The opacity of the largest score behind its number, which stays readable.
const STRONGEST = 0.45;

export function createView({ data, store, palette }) {
  const element = make("div", { class: "heads", role: "group", "aria-label": "Heads" });
  const cards = data.maps.map(makeCard);
  let painted = "";
  let columns = 1;

  function makeCard(map) {
    const layer = data.layers[map.layer];
    const [rows, keys] = layer.shape.map((size) => Math.min(size, THUMB));
    const canvas = make("canvas", { width: keys, height: rows, "aria-hidden": "true" });
    const note = make("span", { class: "note" });
    const names = [layer.name, `head ${map.head}`];
    const button = make("button", {
      class: "head", title: `open ${names.join(", ")}`,
      onclick: () => store.set({ view: "matrix", layer: map.layer, head: map.head, zoom: null }) },
    canvas, ...names.map((name) => make("span", { class: "name" }, name)), note);
    return { map, names, canvas, note, button };
  }

  const measureOf = ({ sort }) =>
    sort.startsWith("measure:") ? data.measures[sort.slice("measure:".length)] : null;

  function order(state) {
    const indices = [...cards.keys()];
    const measure = measureOf(state);
    if (measure) return indices.sort((a, b) => measure[b] - measure[a]);
    return state.sort === "entropy"
      ? indices.sort((a, b) => data.maps[a].entropy - data.maps[b].entropy) : indices;
  }

  /** The sign of a measure as a color, blue or orange, and its size from 0 to 1 as opacity. */
  function tintOf(state) {
    const measure = measureOf(state);
    if (!measure) return () => null;
    const largest = Math.max(...measure.map(Math.abs)) || 1;
    return (i) => ({ fill: palette.named(measure[i] < 0 ? "wrong" : "right"),
      opacity: STRONGEST * Math.abs(measure[i]) / largest });
  }

  async function paint(card, scale) {
    card.cells ??= await card.map.thumb();
    const { width, height } = card.canvas;
    const image = new ImageData(width, height);
    card.cells.forEach((cell, i) => {
      const fraction = scale === "root" ? Math.sqrt(cell / 255) : cell / 255;
      image.data.set([...palette.rgb(fraction), 255], 4 * i);
    });
    card.canvas.getContext("2d").putImageData(image, 0, 0);
  }

  async function render(state) {
    const [measure, tint] = [measureOf(state), tintOf(state)];
    const counts = new Set(data.layers.map(({ maps }) => maps.length));
    columns = state.sort === "place" && counts.size === 1 ? [...counts][0] : 12;
    element.style.setProperty("--columns", columns);
    element.replaceChildren(...order(state).map((index) => cards[index].button));
    cards.forEach(({ map, note, button }, i) => {
      note.textContent = measure ? String(Number(measure[i].toPrecision(4)))
        : `${map.entropy.toFixed(2)} nats`;
      const { fill = "transparent", opacity = 0 } = tint(i) ?? {};
      note.style.background =
        `color-mix(in srgb, ${fill} ${(100 * opacity).toFixed(1)}%, transparent)`;
      note.style.color = measure ? "var(--ink)" : "";
      button.setAttribute("aria-current", map.layer === state.layer && map.head === state.head);
    });
    const appearance = `${state.scale},${palette.dark}`;
    if (painted !== appearance) await Promise.all(cards.map((card) => paint(card, state.scale)));
    painted = appearance;
  }

  async function picture() {
    const step = [TILE.side + TILE.gap, TILE.side + TILE.gap + TILE.text];
    const [shown, tint] = [order(store.state), tintOf(store.state)];
    const tiles = await Promise.all(shown.map(async (index, i) => {
      const { canvas, names, note } = cards[index];
      const [x, y] = [TILE.gap + (i % columns) * step[0], TILE.gap + Math.floor(i / columns) * step[1]];
      const line = (text, down) => makeSvg("text", {
        x, y: y + TILE.side + down, "font-size": 9, fill: palette.named("ink") }, text);
      return [await makeImage(canvas, [x, y], [TILE.side, TILE.side]),
        ...[tint(index)].filter(Boolean).map(({ fill, opacity }) => makeSvg("rect", {
          x, y: y + TILE.side + 14, width: TILE.side, height: 10, fill, opacity })),
        line(names.join(", ").slice(-20), 11), line(note.textContent, 22)];
    }));
    const rows = Math.ceil(shown.length / columns);
    return makeSheet(palette,
      { width: TILE.gap + columns * step[0], height: TILE.gap + rows * step[1] }, ...tiles.flat());
  }

  function table() {
    const names = Object.keys(data.measures);
    const rows = order(store.state).map((index) => {
      const { layer, head, entropy } = data.maps[index];
      return [data.layers[layer].name, head, entropy, ...names.map((n) => data.measures[n][index])];
    });
    return [["layer", "head", "entropy", ...names], ...rows];
  }

  return { element, render, picture, table, destroy() {} };
}
