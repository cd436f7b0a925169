// A sequence too long for its map: the map in tiles, a line for each statistic of keys and queries,
// and the stored parts of the map.

import { LineChart } from "../chart.js";
import { formatWeight, make, nameOf, placed } from "../dom.js";
import { list, say, sentences } from "../language.js";
import { MeanMap } from "../maps.js";
import { ranking } from "../ranking.js";
import { matches } from "../search.js";
import { tileMiddle, tileNames, tileOf, TileMap } from "../tiles.js";
import { AXES, Part } from "./part.js";
import { drawItems } from "./picture.js";

export const title = () => say`Summary`;
export const isAvailable = (data) => data.summaries.length > 0;

// The text of each line, and the axis of its tokens.
const LINES = {
  received: { short: () => say`received mass`, text: () => say`received mass, by key`, axis: "key" },
  entropy: { short: () => say`entropy`, text: () => say`entropy in nats, by query`, axis: "query" },
  distance: { short: () => say`mean distance`, text: () => say`mean distance, by query`, axis: "query" },
  max_logit: { short: () => say`largest score`, text: () => say`largest score, by query`, axis: "query" },
};

const axisName = (axis) => (axis === "query" ? say`query` : say`key`);

const LARGEST = { width: 420, height: 390 };

export function createView({ data, store, palette, announce }) {
  const pooled = new Part(palette, store, say`Map in tiles: arrow keys move, plus and minus zoom`, point);
  const stored = new Part(palette, store, say`Stored part of the map: arrow keys move`, point);
  const charts = Object.fromEntries(Object.entries(LINES).map(([name, { text, axis }]) =>
    [name, new LineChart(palette, text(), {
      pick: (token) => store.set({ [axis]: token }),
      point: (token) => point(token === null ? null : { [axis]: token }),
    })]));
  const fields = Object.fromEntries(AXES.map((axis) => [axis, make("input", {
    type: "number", min: 0, onchange: (event) =>
      store.set({ [axis]: event.target.value === "" ? null : Number(event.target.value) }) })]));
  const parts = make("div", { class: "parts", role: "group", "aria-label": say`Stored parts` });
  const readout = make("p", { class: "readout" });
  const lists = make("div", { class: "lists" });
  const maps = make("div", { class: "maps" }, pooled.figure, stored.figure);
  const lines = make("div", { class: "charts" }, ...Object.values(charts).map(({ element }) => element));
  const drawn = make("div", { class: "drawn" }, maps, lines);
  const element = make("div", { class: "matrix summary" }, drawn, make("div", { class: "side" },
    ...AXES.map((axis) => make("label", { class: "field" }, make("span", {}, axisName(axis)), fields[axis])),
    parts, readout, lists));
  // The rendered page: { state, summary, values by name, tiles: TileMap, top, tile }.
  let rendered = null;

  function point(place) {
    if (!rendered) return;
    const active = { query: store.state.query, key: store.state.key, ...place };
    for (const part of [pooled, stored]) part.cross(active, place);
    for (const name of Object.keys(rendered.values)) charts[name].point(active[LINES[name].axis]);
    readout.textContent = describe(active);
    const { queries, keys } = rendered.summary.labels;
    const top = active.query === null || !rendered.top ? [] : rendered.top(active.query)
      .map(({ key, weight }) => ({ index: key, weight, exact: true }));
    lists.replaceChildren(...(top.length
      ? [ranking(say`${nameOf(queries, active.query)} attends to`, top, keys)] : []));
    if (place) announce(readout.textContent);
  }

  function describe(active) {
    const tokens = AXES.filter((axis) => active[axis] !== null).map((axis) => describeToken(axis, active[axis]));
    if (!tokens.length) return say`Point at a tile or a line, or select a token.`;
    return sentences([...tokens, ...(tokens.length === 2 ? describeCell(active) : [])]);
  }

  function describeToken(axis, token) {
    const { labels } = rendered.summary;
    const numbers = Object.entries(rendered.values).filter(([name]) => LINES[name].axis === axis)
      .map(([name, values]) => `${LINES[name].short()} ${
        Number.isFinite(values[token]) ? `≈ ${values[token].toPrecision(3)}` : say`none`}`);
    const name = `${axisName(axis)} ${placed(axis === "query" ? labels.queries : labels.keys, token)}`;
    return numbers.length ? say`${name}: ${list(numbers)}.` : say`${name}.`;
  }

  function describeCell(active) {
    const { tiles, tile } = rendered;
    const weights = [[say`Mean weight of the tile`, tiles, pooled], [say`Weight`, tile?.map, stored]];
    return weights.filter(([, map]) => map).flatMap(([text, map, part]) => {
      const { query, key } = part.cell(active);
      const [queries, keys] = map.shape;
      if (!(query >= 0 && query < queries && key >= 0 && key < keys)) return [];
      return [say`${text}: ${formatWeight(map.weight(query, key), map.isExact(query, key))}.`];
    });
  }

  const view = {
    element,

    async render(state) {
      const summary = data.summaries[state.layer];
      const loaded = await load(summary, state);
      if (state !== store.state) return;
      const moved = rendered && AXES.some((axis) => rendered.state[axis] !== state[axis]);
      rendered = { state, summary, ...loaded };
      const matched = matches(summary.labels, summary.shape, state.search);
      AXES.forEach((axis, i) => {
        fields[axis].max = summary.shape[i] - 1;
        fields[axis].value = state[axis] ?? "";
      });
      showTiles(summary, state, matched);
      showParts(summary, state, matched);
      const width = Math.max(320, drawn.clientWidth);
      for (const [name, { axis }] of Object.entries(LINES)) {
        charts[name].element.toggleAttribute("hidden", !rendered.values[name]);
        if (rendered.values[name]) charts[name].show(rendered.values[name], width, matched[axis]);
      }
      point(null);
      if (moved) announce(readout.textContent);
    },

    keydown(event) {
      return rendered !== null && (stored.contains(event.target) ? stored : pooled).keydown(event);
    },

    async picture() {
      const shown = [pooled, stored].filter((part) => !part.figure.hidden).map(({ panel }) => panel);
      const pictures = await Promise.all(shown.map((panel) => panel.picture()));
      const moved = (node) => (box) => {
        node.setAttribute("x", box.x);
        node.setAttribute("y", box.y);
        return [node];
      };
      return drawItems(drawn, palette, [], [
        ...shown.map((panel, i) => [panel.element, moved(pictures[i])]),
        ...Object.keys(rendered.values).map((name) =>
          [charts[name].element, moved(charts[name].element.cloneNode(true))])]);
    },

    table() {
      const names = Object.keys(rendered.values);
      const count = Math.max(...rendered.summary.shape);
      return [[say`token`, ...names.map((name) => LINES[name].short())], ...Array.from({ length: count }, (_, token) =>
        [token, ...names.map((name) => rendered.values[name][token] ?? "")])];
    },

    destroy() {},
  };

  // Both maps side by side, if there is room for them.
  function spaceForPart() {
    const width = Math.max(280, Math.min(LARGEST.width, drawn.clientWidth / 2 - 10));
    return { ...LARGEST, width };
  }

  function showTiles({ shape }, { scale }, matched) {
    const { tiles } = rendered;
    const to = (token, i) => tileOf(token, shape[i], tiles.shape[i]);
    pooled.show({ map: tiles, scale, space: spaceForPart(), labels: tiles && tileLabels(shape, tiles.shape),
      matched: tiles && mapSets(matched, to),
      places: { to, from: (tile, i) => tileMiddle(tile, shape[i], tiles.shape[i]) } });
  }

  function showParts({ tiles, labels }, { scale }, matched) {
    const { tile } = rendered;
    const to = (token, i) => token - tile.start[i];
    parts.replaceChildren(...tiles.map(({ start, shape }) => make("button", {
      "aria-pressed": String(tile?.start === start),
      onclick: () => store.set({ query: start[0], key: start[1] }),
    }, list(AXES.map((axis, i) => `${axisName(axis)} ${start[i]}–${start[i] + shape[i] - 1}`)))));
    stored.show({ map: tile?.map, scale, space: spaceForPart(), labels: tile && partLabels(labels, tile),
      matched: tile && mapSets(matched, to), places: { to, from: (cell, i) => cell + tile.start[i] } });
  }

  return view;
}

const meanOf = (lists) => (lists.length === 1 ? lists[0]
  : lists[0].map((_, i) => lists.reduce((sum, list) => sum + list[i], 0) / lists.length));

async function load(summary, { head, query, key }) {
  const heads = head === "mean" ? [...Array(summary.heads).keys()] : [head];
  const mean = async (loads) => meanOf(await Promise.all(heads.map((each) => loads[each]())));
  const values = {};
  for (const name of Object.keys(LINES)) {
    if (summary.lines[name]) values[name] = await mean(summary.lines[name]);
  }
  summary.shownTiles ??= {};
  const tiles = summary.pooled
    && (summary.shownTiles[head] ??= new TileMap(await mean(summary.pooled.heads), summary.pooled.shape));
  const part = summary.tiles.find(({ start, shape }) =>
    [query, key].every((token, i) => token !== null && token >= start[i] && token < start[i] + shape[i]));
  const tile = part && { ...part,
    map: heads.length > 1 ? new MeanMap(await Promise.all(heads.map(part.load))) : await part.load(head) };
  return { values, tiles, tile, top: head === "mean" || !summary.top ? null : await summary.top[head]() };
}

function mapSets(matched, to) {
  return Object.fromEntries(AXES.map((axis, i) =>
    [axis, new Set([...matched[axis]].map((token) => to(token, i)))]));
}

function tileLabels(shape, tiles) {
  return { queries: tileNames(shape[0], tiles[0]), keys: tileNames(shape[1], tiles[1]) };
}

function partLabels(labels, { start, shape }) {
  const side = (names, first, count) =>
    Array.from({ length: count }, (_, i) => names?.[first + i] ?? String(first + i));
  return { queries: side(labels.queries, start[0], shape[0]), keys: side(labels.keys, start[1], shape[1]) };
}
