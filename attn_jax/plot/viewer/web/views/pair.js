// Queries next to keys: point at a token on one side, and the other side shows its weights.
//
// The basis of the token, image and alignment views. A kind of pair has `name` and `side(name, names,
// act, context)`, which returns a Picker for one side. It may have `named(labels, count, context)`,
// which returns better labels; `between(context)`, which returns something to draw between the sides,
// {element, draw(pickers, map, gold), point(active, map), picture}; and `note(map, active, gold,
// context)`, which returns more text for the readout.

import { formatWeight, make, nameOf, placed } from "../dom.js";
import { wordStarts, wordTexts, WordMap } from "../merging.js";
import { largest, rankings, tableOf } from "../ranking.js";
import { matches } from "../search.js";
import { drawItems } from "./picture.js";

const PLURALS = { query: "queries", key: "keys" };
const SIDES = Object.keys(PLURALS);
const LISTED = 3;

export function createPair(context, kind) {
  const { data, store, palette, announce } = context;
  const headings = { query: make("h2"), key: make("h2") };
  const holders = { query: make("section", {}, headings.query), key: make("section", {}, headings.key) };
  const between = kind.between?.(context) ?? null;
  const sides = make("div", { class: "sides" }, holders.query, between && between.element, holders.key);
  const words = make("input", { type: "checkbox",
    onchange: () => store.set({ words: words.checked ? "whole" : "" }) });
  const wordsField = make("label", { class: "field" }, words, make("span", {}, "whole words"));
  const readout = make("p", { class: "readout" });
  const lists = make("div", { class: "lists" });
  const element = make("div", { class: `matrix ${kind.name}` }, sides,
    make("div", { class: "side" }, wordsField, readout, lists));
  // The rendered page: { state, built, loaded, map, average, labels, merged, starts, pickers }.
  let rendered = null;
  let hovered = {};

  function build(state) {
    const { labels: originals, shape } = data.layers[state.layer];
    const labels = Object.fromEntries(SIDES.map((name, i) =>
      [PLURALS[name], (kind.named ?? ((same) => same))(originals[PLURALS[name]], shape[i], context)]));
    const whole = SIDES.map((name) => startsOf(labels[PLURALS[name]], shape[SIDES.indexOf(name)]));
    wordsField.hidden = whole.every((starts, i) => starts.length === shape[i]);
    const merged = state.words && !wordsField.hidden;
    const starts = Object.fromEntries(SIDES.map((name, i) =>
      [name, merged ? whole[i] : [...Array(shape[i]).keys()]]));
    const shown = merged ? Object.fromEntries(SIDES.map((name, i) =>
      [PLURALS[name], labels[PLURALS[name]] && wordTexts(labels[PLURALS[name]], whole[i])])) : labels;
    // If the queries are the keys, pointing at a token highlights it on both sides.
    const together = originals.queries === originals.keys && shape[0] === shape[1];
    const pickers = Object.fromEntries(SIDES.map((name) => [name, makeSide(name, shown, starts, together)]));
    for (const name of SIDES) holders[name].replaceChildren(headings[name], pickers[name].element);
    return { merged, starts, labels: shown, pickers };
  }

  function makeSide(name, labels, starts, together) {
    const both = (index, value) => Object.fromEntries(
      (together ? SIDES : [name]).map((side) => [side, index === null ? null : value]));
    return kind.side(name, starts[name].map((_, i) => nameOf(labels[PLURALS[name]], i)), {
      pick: (index) => store.set(both(index, starts[name][index])),
      point: (index) => {
        hovered = index === null ? {} : both(index, index);
        draw(index !== null);
      },
    }, context);
  }

  const placeOf = (name, token) =>
    (token === null ? null : rendered.starts[name].findLastIndex((start) => start <= token));

  function draw(announced) {
    const { map, labels, pickers } = rendered;
    const chosen = { query: placeOf("query", store.state.query), key: placeOf("key", store.state.key) };
    const active = { query: hovered.query ?? chosen.query, key: hovered.key ?? chosen.key };
    for (const name of SIDES) pickers[name].mark(chosen[name], hovered[name] ?? null);
    pickers.key.paint(active.query === null ? average() : map.row(active.query));
    pickers.query.paint(active.key === null ? null : map.column(active.key));
    headings.key.textContent = active.query === null ? "Keys, colored by the mean weight they receive"
      : `Keys, colored by their weight for ${nameOf(labels.queries, active.query)}`;
    headings.query.textContent = active.key === null ? "Queries"
      : `Queries, colored by their weight on ${nameOf(labels.keys, active.key)}`;
    const gold = rendered.merged ? null : data.goldOf(store.state.layer);
    readout.textContent = [describe(active), kind.note?.(map, active, gold, context)].filter(Boolean).join(" ");
    lists.replaceChildren(...rankings(map, labels, active));
    between?.point(active, map);
    if (announced) announce(readout.textContent);
  }

  function average() {
    const { map } = rendered;
    rendered.average ??= Array.from({ length: map.shape[0] }, (_, query) => map.row(query))
      .reduce((sum, row) => sum.map((value, key) => value + row[key]), new Float32Array(map.shape[1]));
    return rendered.average;
  }

  function describe({ query, key }) {
    const { map, labels } = rendered;
    const list = (weights, names, isExact) => largest(weights, LISTED).map((index) =>
      `${nameOf(names, index)} ${formatWeight(weights[index], isExact(index))}`).join(", ") || "nothing";
    if (query !== null) {
      return `${placed(labels.queries, query)} attends to ${
        list(map.row(query), labels.keys, (i) => map.isExact(query, i))}.`;
    }
    if (key !== null) {
      return `${placed(labels.keys, key)} is attended to by ${
        list(map.column(key), labels.queries, (i) => map.isExact(i, key))}.`;
    }
    return "Point at a token, or select one with the arrow keys.";
  }

  return {
    element,

    async render(state) {
      const loaded = await data.pick(state);
      if (state !== store.state) return;
      const built = [state.layer, state.words].join();
      if (rendered?.built !== built) rendered = { built, ...build(state) };
      if (rendered.loaded !== loaded) {
        const map = rendered.merged ? new WordMap(loaded, rendered.starts) : loaded;
        Object.assign(rendered, { loaded, map, average: null });
      }
      words.checked = Boolean(state.words);
      const matched = matches(rendered.labels, rendered.map.shape, state.search);
      for (const name of SIDES) rendered.pickers[name].find(matched[name]);
      between?.draw(rendered.pickers, rendered.map, rendered.merged ? null : data.goldOf(state.layer));
      draw(rendered.state && SIDES.some((name) => rendered.state[name] !== state[name]));
      rendered.state = state;
    },

    picture: () => drawItems(sides, palette, SIDES.flatMap((name) => rendered.pickers[name].items),
      kind.below?.(sides, context) ?? (between ? [[between.element, between.picture]] : [])),

    table: () => tableOf(rendered.map, rendered.labels),

    destroy() {},
  };
}

function startsOf(tokens, count) {
  return tokens ? wordStarts(tokens) : [...Array(count).keys()];
}
