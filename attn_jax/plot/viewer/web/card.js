// The report card of the maps, as a table below them.

import { fixed, make } from "./dom.js";
import { say, translated } from "./language.js";

// A verdict is shown by a mark, by its color, and in words for screen readers.
const MARKS = {
  supports: ["✓", () => say`supports the map`],
  against: ["✗", () => say`speaks against the map`],
  unclear: ["?", () => say`is unclear`],
};
const headings = () =>
  [say`Measure`, say`This map`, say`Random map`, say`Uniform weights`, say`Verdict`];

/** Returns the card as a collapsible element, or null without a card. */
export function createCard(card) {
  if (!card) return null;
  return make("details", { class: "card", open: true },
    make("summary", {}, say`Can this map be trusted? `, make("strong", {}, translated(card.verdict))),
    card.answers.length ? make("ul", { class: "answers" }, ...card.answers.map(answer)) : null,
    make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": say`Report card` },
      make("table", {},
        make("thead", {}, make("tr", {}, ...headings().map((text) => make("th", { scope: "col" }, text)))),
        make("tbody", {}, ...card.lines.map(row)))),
    ...card.notes.map((note) => make("p", { class: "note" }, translated(note))));
}

function answer({ question, reads, words }) {
  return make("li", { class: reads }, ...verdict(reads), make("strong", {}, translated(question)), ` ${translated(words)}`);
}

function verdict(reads) {
  const [mark, words] = MARKS[reads];
  return [
    make("span", { class: "mark", "aria-hidden": "true" }, mark),
    make("span", { class: "visually-hidden" }, `${words()}: `),
  ];
}

function row(line) {
  const [, own, random, uniform] = headings();
  const interval = line.low === null || line.high === null ? null
    : make("span", { class: "place" }, say` ${number(line.low)} to ${number(line.high)}`);
  return make("tr", {},
    make("th", { scope: "row" }, translated(line.title)),
    make("td", { "data-column": own }, number(line.value), interval),
    make("td", { "data-column": random }, number(line.random)),
    make("td", { "data-column": uniform }, number(line.uniform)),
    make("td", { class: line.reads }, ...verdict(line.reads), translated(line.verdict)));
}

function number(value) {
  return value === null ? "–" : fixed(value, Math.abs(value) < 10 ? 3 : 1);
}
