// Queries next to keys: point at a token on one side, and the other side shows its weights.
//
// The basis of the token, heads, image and alignment views. A kind of pair has `name` and `side(name,
// names, act, context)`, which returns a Picker for one side. It may have `load(data, state)`, which
// loads another map than the state's; `named(labels, count, context)`, which returns better labels;
// `above(context)`, which returns {element, render(state)}, to show above the sides;
// `between(context)`, which returns something to draw between the sides, {element, draw(pickers, map,
// gold), point(active, map), picture}; `paint(pickers, map, active, context)`, which colors the items
// otherwise, as `headings(query, key)` of the keys and queries say; `lists(map, labels, active, context)`, other lists than those of the largest weights;
// `table(map, labels, context)`, another table than that of the map; and
// `note(map, active, gold, context)`, which returns more text for the readout.

import { formatWeight, make, nameOf, placed } from "../dom.js";
import { list, say, sentences } from "../language.js";
import { wordStarts, wordTexts, WordMap } from "../merging.js";
import { MeanMap } from "../maps.js";
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
  const above = kind.above?.(context) ?? null;
  const between = kind.between?.(context) ?? null;
  const sides = make("div", { class: "sides" }, holders.query, between && between.element, holders.key);
  const words = make("input", { type: "checkbox",
    onchange: () => store.set({ words: words.checked ? "whole" : "" }) });
  const wordsField = make("label", { class: "field" }, words, make("span", {}, say`whole words`));
  const readout = make("p", { class: "readout" });
  const lists = make("div", { class: "lists" });
  const element = make("div", { class: `matrix ${kind.name}` },
    above ? make("div", { class: "main" }, above.element, sides) : sides,
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
    if (kind.paint) kind.paint(pickers, map, active, context);
    else {
      pickers.key.paint(active.query === null ? average() : map.row(active.query));
      pickers.query.paint(active.key === null ? null : map.column(active.key));
    }
    pickers.key.hide(active.query !== null && map.isHidden
      ? (key) => map.isHidden(active.query, key) : null);
    const [ofQuery, ofKey] = [nameOf(labels.queries, active.query ?? 0), nameOf(labels.keys, active.key ?? 0)];
    const [keys, queries] = kind.headings?.(ofQuery, ofKey)
      ?? [say`Keys, colored by their weight for ${ofQuery}`,
        say`Queries, colored by their weight on ${ofKey}`];
    headings.key.textContent = active.query !== null ? keys
      : kind.paint ? say`Keys` : say`Keys, colored by mean weight`;
    headings.query.textContent = active.key === null ? say`Queries` : queries;
    const gold = rendered.merged ? null : data.goldOf(store.state.layer);
    readout.textContent = sentences(
      [describe(active), kind.note?.(map, active, gold, context)]);
    lists.replaceChildren(...(kind.lists ?? rankings)(map, labels, active, context));
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
    const some = (weights, names, isExact) => list(largest(weights, LISTED).map((index) =>
      `${nameOf(names, index)} ${formatWeight(weights[index], isExact(index))}`)) || say`nothing`;
    if (query !== null) {
      return say`${placed(labels.queries, query)} attends to ${
        some(map.row(query), labels.keys, (i) => map.isExact(query, i))}.`;
    }
    if (key !== null) {
      return say`${placed(labels.keys, key)} is attended to by ${
        some(map.column(key), labels.queries, (i) => map.isExact(i, key))}.`;
    }
    return say`Point at a token, or select one with the arrow keys.`;
  }

  return {
    element,

    async render(state) {
      const loaded = await (kind.load?.(data, state) ?? data.pick(state));
      if (state !== store.state) return;
      const built = [state.layer, state.words].join();
      if (rendered?.built !== built) rendered = { built, ...build(state) };
      if (rendered.loaded !== loaded) {
        const map = rendered.merged ? merge(loaded, rendered.starts) : loaded;
        Object.assign(rendered, { loaded, map, average: null });
      }
      words.checked = Boolean(state.words);
      const matched = matches(rendered.labels, rendered.map.shape, state.search);
      for (const name of SIDES) rendered.pickers[name].find(matched[name]);
      above?.render(state);
      between?.draw(rendered.pickers, rendered.map, rendered.merged ? null : data.goldOf(state.layer));
      draw(rendered.state && SIDES.some((name) => rendered.state[name] !== state[name]));
      rendered.state = state;
    },

    keydown: (event) => rendered !== null && rendered.pickers.query.step(event),

    picture: () => drawItems(sides, palette, SIDES.flatMap((name) => rendered.pickers[name].items),
      kind.below?.(sides, context) ?? (between ? [[between.element, between.picture]] : [])),

    table: () => (kind.table ?? tableOf)(rendered.map, rendered.labels, context),

    destroy() {},
  };
}

const merge = (map, starts) => (map.maps
  ? new MeanMap(map.maps.map((each) => new WordMap(each, starts))) : new WordMap(map, starts));

function startsOf(tokens, count) {
  return tokens ? wordStarts(tokens) : [...Array(count).keys()];
}
