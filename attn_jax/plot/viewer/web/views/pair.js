// Those that look beside those that are looked at: point at one, and the other side shows.
//
// The views of a text, of an image and of an alignment are made of it. A kind of pair has `name`;
// `side(name, names, act, context)`, a Picker of one side; and it may have `named(labels, count,
// context)`, better labels; `between(context)`, something drawn between the sides, {element,
// draw(pickers, map, gold), point(at, map), picture}; and `note(map, at, gold, context)`, more words
// on what is seen.

import { formatWeight, make, nameOf, placed } from "../dom.js";
import { wordStarts, wordTexts, WordMap } from "../merging.js";
import { largest, rankings, tableOf } from "../ranking.js";
import { matches } from "../search.js";
import { drawItems } from "./picture.js";

const PLURALS = { query: "queries", key: "keys" };
const SIDES = Object.keys(PLURALS);
const TOLD = 3;

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
  const looks = make("div", { class: "looks" });
  const element = make("div", { class: `matrix ${kind.name}` }, sides,
    make("div", { class: "side" }, wordsField, readout, looks));
  // What is on the page: { state, built, loaded, map, average, labels, merged, starts, pickers }.
  let seen = null;
  let hovered = {};

  function build(state) {
    const { labels: given, shape } = data.layers[state.layer];
    const labels = Object.fromEntries(SIDES.map((name, i) =>
      [PLURALS[name], (kind.named ?? ((same) => same))(given[PLURALS[name]], shape[i], context)]));
    const whole = SIDES.map((name) => startsOf(labels[PLURALS[name]], shape[SIDES.indexOf(name)]));
    wordsField.hidden = whole.every((starts, i) => starts.length === shape[i]);
    const merged = state.words && !wordsField.hidden;
    const starts = Object.fromEntries(SIDES.map((name, i) =>
      [name, merged ? whole[i] : [...Array(shape[i]).keys()]]));
    const shown = merged ? Object.fromEntries(SIDES.map((name, i) =>
      [PLURALS[name], labels[PLURALS[name]] && wordTexts(labels[PLURALS[name]], whole[i])])) : labels;
    // Where the queries are the keys, a token is pointed at on both sides at once.
    const together = given.queries === given.keys && shape[0] === shape[1];
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
    (token === null ? null : seen.starts[name].findLastIndex((start) => start <= token));

  function draw(aloud) {
    const { map, labels, pickers } = seen;
    const chosen = { query: placeOf("query", store.state.query), key: placeOf("key", store.state.key) };
    const at = { query: hovered.query ?? chosen.query, key: hovered.key ?? chosen.key };
    for (const name of SIDES) pickers[name].mark(chosen[name], hovered[name] ?? null);
    pickers.key.paint(at.query === null ? average() : map.row(at.query));
    pickers.query.paint(at.key === null ? null : map.column(at.key));
    headings.key.textContent = at.query === null ? "Keys, colored by what they get on average"
      : `Keys, colored by where ${nameOf(labels.queries, at.query)} looks`;
    headings.query.textContent = at.key === null ? "Queries"
      : `Queries, colored by who looks at ${nameOf(labels.keys, at.key)}`;
    const gold = seen.merged ? null : data.goldOf(store.state.layer);
    readout.textContent = [tell(at), kind.note?.(map, at, gold, context)].filter(Boolean).join(" ");
    looks.replaceChildren(...rankings(map, labels, at));
    between?.point(at, map);
    if (aloud) announce(readout.textContent);
  }

  function average() {
    const { map } = seen;
    seen.average ??= Array.from({ length: map.shape[0] }, (_, query) => map.row(query))
      .reduce((sum, row) => sum.map((value, key) => value + row[key]), new Float32Array(map.shape[1]));
    return seen.average;
  }

  function tell({ query, key }) {
    const { map, labels } = seen;
    const list = (weights, names, isExact) => largest(weights, TOLD).map((index) =>
      `${nameOf(names, index)} ${formatWeight(weights[index], isExact(index))}`).join(", ") || "nothing";
    if (query !== null) {
      return `${placed(labels.queries, query)} looks at ${
        list(map.row(query), labels.keys, (i) => map.isExact(query, i))}.`;
    }
    if (key !== null) {
      return `${placed(labels.keys, key)} is looked at by ${
        list(map.column(key), labels.queries, (i) => map.isExact(i, key))}.`;
    }
    return "Point at one, or choose it with the arrow keys.";
  }

  return {
    element,

    async render(state) {
      const loaded = await data.pick(state);
      if (state !== store.state) return;
      const built = [state.layer, state.words].join();
      if (seen?.built !== built) seen = { built, ...build(state) };
      if (seen.loaded !== loaded) {
        const map = seen.merged ? new WordMap(loaded, seen.starts) : loaded;
        Object.assign(seen, { loaded, map, average: null });
      }
      words.checked = Boolean(state.words);
      const found = matches(seen.labels, seen.map.shape, state.search);
      for (const name of SIDES) seen.pickers[name].find(found[name]);
      between?.draw(seen.pickers, seen.map, seen.merged ? null : data.goldOf(state.layer));
      draw(seen.state && SIDES.some((name) => seen.state[name] !== state[name]));
      seen.state = state;
    },

    picture: () => drawItems(sides, palette, SIDES.flatMap((name) => seen.pickers[name].items),
      kind.below?.(sides, context) ?? (between ? [[between.element, between.picture]] : [])),

    table: () => tableOf(seen.map, seen.labels),

    destroy() {},
  };
}

function startsOf(tokens, count) {
  return tokens ? wordStarts(tokens) : [...Array(count).keys()];
}
