// The whole model: a row for each layer, a column for each head, tinted or sorted by a score.

import { make, makeSvg } from "../dom.js";
import { kindName, kindOf, kindsOf, shortNames } from "../kinds.js";
import { list, say, nameInPage } from "../language.js";
import { makeImage, makeSheet } from "./picture.js";
import { drawLines, drawMap } from "./thumbs.js";

export const title = () => say`Model`;
export const isAvailable = (data) => data.maps.length > 1;
export const uses = ["scale", "sort", "score", "thumbs"];

const THUMB = 32;
const SORTED_COLUMNS = 12;
// The opacity of the largest score behind its number, which stays readable.
const STRONGEST = 0.45;

const short = (value) => (value === null ? "–" : String(Number(value.toPrecision(3))));

export function createView({ data, store, palette, announce }) {
  const grids = make("div", { class: "grids" });
  const readout = make("p", { class: "readout" });
  const element = make("div", { class: "heads", role: "group", "aria-label": say`Heads` }, readout, grids);
  const kinds = kindsOf(data.layers);
  const names = Object.fromEntries(kinds.map((kind) =>
    [kind, shortNames(data.layers.filter((layer) => kindOf(layer) === kind).map(({ name }) => name))]));
  const titleOf = ({ layer, head }) => say`${data.layers[layer].name}, head ${head}`;
  const cards = data.maps.map(makeCard);
  let painted = "";
  let arranged = "";

  function makeCard(map, index) {
    const layer = data.layers[map.layer];
    const [rows, keys] = layer.shape.map((size) => Math.min(size, THUMB));
    const canvas = make("canvas", { "aria-hidden": "true" });
    const [name, note] = [make("span", { class: "name" }), make("span", { class: "note" })];
    const button = make("button", { class: "head", title: say`open ${titleOf(map)}`,
      onclick: () => open(index), onpointerenter: () => describe(index),
      onfocus: () => describe(index) }, canvas, name, note);
    return { map, canvas, name, note, button, rows, keys };
  }

  function open(index) {
    const { layer, head } = data.maps[index];
    store.set({ view: "matrix", layer, head, zoom: null });
  }

  function describe(index) {
    const values = Object.entries(data.scores).filter(([, all]) => all[index] !== null)
      .map(([name, all]) => `${nameInPage(name)} ${short(all[index])}`);
    readout.textContent = say`${titleOf(data.maps[index])}: ${list(values)}`;
  }

  // Entropy is sorted lowest first, as a sharp head says most; missing scores come last.
  function order({ sort, score }) {
    const indices = [...cards.keys()];
    if (sort === "place") return indices;
    const sign = score === "entropy" ? 1 : -1;
    const value = (i) => (data.scores[score][i] === null ? Infinity : sign * data.scores[score][i]);
    return indices.sort((a, b) => value(a) - value(b));
  }

  /** The sign of a score as a color, blue or orange, and its size from 0 to 1 as opacity. */
  function tintOf({ score }) {
    const values = data.scores[score];
    const largest = Math.max(...values.map((value) => Math.abs(value ?? 0))) || 1;
    return (i) => ({ fill: palette.named(values[i] < 0 ? "wrong" : "right"),
      opacity: STRONGEST * Math.abs(values[i] ?? 0) / largest });
  }

  function arrange(state) {
    const shown = order(state);
    for (const { map, name } of cards) {
      name.textContent = state.sort === "place" ? "" : `${shortName(map.layer)} · ${map.head}`;
    }
    if (state.sort !== "place") {
      grids.replaceChildren(gridOf(Math.min(SORTED_COLUMNS, shown.length), shown.map((i) => cards[i].button)));
      return;
    }
    grids.replaceChildren(...kinds.flatMap((kind) => [
      ...(kinds.length > 1 ? [make("h2", {}, kindName(kind))] : []), layersOf(kind)]));
  }

  const shortName = (layer) => {
    const kind = kindOf(data.layers[layer]);
    const siblings = data.layers.filter((each) => kindOf(each) === kind);
    return names[kind][siblings.indexOf(data.layers[layer])];
  };

  // A grid with a name for each layer at its left, and the numbers of the heads above.
  function layersOf(kind) {
    const layers = [...data.layers.keys()].filter((i) => kindOf(data.layers[i]) === kind);
    const columns = Math.max(...layers.map((i) => data.layers[i].maps.length));
    const heading = (text) => make("span", { class: "axis" }, text);
    const row = (layer) => [
      make("button", { class: "axis", title: say`all heads of ${data.layers[layer].name} as lines`,
        "aria-label": say`all heads of ${data.layers[layer].name} as lines`,
        onclick: () => store.set({ view: "heads", layer }) }, shortName(layer)),
      ...Array.from({ length: columns }, (_, head) => cards[
        data.maps.indexOf(data.layers[layer].maps[head])]?.button ?? make("span"))];
    const grid = gridOf(columns, [heading(say`layer · head`),
      ...Array.from({ length: columns }, (_, head) => heading(String(head))), ...layers.flatMap(row)]);
    grid.classList.add("placed");
    return grid;
  }

  function gridOf(columns, children) {
    const grid = make("div", { class: "grid" }, ...children);
    grid.style.setProperty("--columns", columns);
    return grid;
  }

  async function paint(card, { scale, thumbs }) {
    card.cells ??= await card.map.thumb();
    card.hidden ??= await card.map.hiddenThumb([card.rows, card.keys]);
    (thumbs === "lines" ? drawLines : drawMap)(card.canvas, card, scale, palette);
  }

  async function render(state) {
    const tint = tintOf(state);
    const arrangement = [state.sort, state.sort === "place" || state.score].join();
    if (arranged !== arrangement) arrange(state);
    arranged = arrangement;
    cards.forEach(({ map, note, button }, i) => {
      note.textContent = short(data.scores[state.score][i]);
      const { fill, opacity } = tint(i);
      const color = `color-mix(in srgb, ${fill} ${(100 * opacity).toFixed(1)}%, transparent)`;
      note.style.background = color;
      button.style.setProperty("--tint", color);
      button.setAttribute("aria-label",
        say`open ${titleOf(map)}: ${nameInPage(state.score)} ${note.textContent}`);
      button.setAttribute("aria-current", map.layer === state.layer && map.head === state.head);
    });
    const chosen = data.maps.findIndex(({ layer, head }) => layer === state.layer && head === state.head);
    if (chosen >= 0) describe(chosen);
    const appearance = [state.scale, state.thumbs, palette.dark].join();
    if (painted !== appearance) await Promise.all(cards.map((card) => paint(card, state)));
    painted = appearance;
  }

  // The head that an arrow key leads to from another: across the grid, or along the order.
  function next(at, [across, down]) {
    const { layer, head } = data.maps[at];
    const within = (value, count) => Math.max(0, Math.min(count - 1, value));
    if (store.state.sort === "place") {
      const { maps } = data.layers[within(layer + down, data.layers.length)];
      return maps[within(head + across, maps.length)];
    }
    const shown = order(store.state);
    const step = across + down * Math.min(SORTED_COLUMNS, shown.length);
    return data.maps[shown[within(shown.indexOf(at) + step, shown.length)]];
  }

  // Arrow keys choose another head, and Enter opens it.
  function keydown({ key, target }) {
    const { state } = store;
    const { maps } = data.layers[state.layer];
    const at = data.maps.indexOf(maps[state.head === "mean" ? 0 : state.head]);
    const by = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key];
    if (by) {
      const map = next(at, by);
      store.set({ layer: map.layer, head: map.head });
      cards[data.maps.indexOf(map)].button.scrollIntoView({ block: "nearest", inline: "nearest" });
      announce(readout.textContent);
    } else if (key === "Enter" && !target.closest("button")) open(at);
    else return false;
    return true;
  }

  async function picture() {
    const frame = grids.getBoundingClientRect();
    const tint = tintOf(store.state);
    const boxOf = (node) => {
      const { left, top, width, height } = node.getBoundingClientRect();
      return { x: left - frame.left, y: top - frame.top, width, height };
    };
    const text = (node) => {
      const { x, y, height } = boxOf(node);
      return makeSvg("text", { x: x + 2, y: y + height / 2, "dominant-baseline": "central",
        "font-size": 10, fill: palette.named("ink") }, node.textContent);
    };
    const tiles = await Promise.all(order(store.state).map(async (i) => {
      const { canvas, name, note } = cards[i];
      const { x, y, width, height } = boxOf(canvas);
      return [await makeImage(canvas, [x, y], [width, height]),
        makeSvg("rect", { ...boxOf(note), ...tint(i) }), text(name), text(note)];
    }));
    const headings = [...grids.querySelectorAll(".axis, h2")].map(text);
    return makeSheet(palette, frame, ...tiles.flat(), ...headings);
  }

  function table() {
    const scores = Object.keys(data.scores);
    const rows = order(store.state).map((index) => {
      const { layer, head } = data.maps[index];
      return [data.layers[layer].name, head, ...scores.map((name) => data.scores[name][index] ?? "")];
    });
    return [[say`layer`, say`head`, ...scores.map(nameInPage)], ...rows];
  }

  return { element, render, keydown, picture, table, destroy() {} };
}
