// How far the maps can be believed: the report card that came with them, as a table below.

import { make } from "./dom.js";

// A verdict is told by a mark, by its color, and by words for who sees neither.
const MARKS = {
  supports: ["✓", "supports the map"],
  against: ["✗", "speaks against the map"],
  unclear: ["?", "is unclear"],
};
const HEADINGS = ["Measure", "This map", "A random one", "Equal weights", "What it says"];

/** The card as an element that folds away, or null where there is none. */
export function createCard(card) {
  if (!card) return null;
  return make("details", { class: "card", open: true },
    make("summary", {}, "How far can this be believed? ", make("strong", {}, card.verdict)),
    make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Report card" },
      make("table", {},
        make("thead", {}, make("tr", {}, ...HEADINGS.map((text) => make("th", { scope: "col" }, text)))),
        make("tbody", {}, ...card.lines.map(row)))));
}

function row(line) {
  const [mark, words] = MARKS[line.reads];
  const interval = line.low === null || line.high === null ? null
    : make("span", { class: "place" }, ` ${number(line.low)} to ${number(line.high)}`);
  return make("tr", {},
    make("th", { scope: "row" }, line.title),
    make("td", {}, number(line.value), interval),
    make("td", {}, number(line.random)),
    make("td", {}, number(line.uniform)),
    make("td", { class: line.reads },
      make("span", { class: "mark", "aria-hidden": "true" }, mark),
      make("span", { class: "unseen" }, `${words}: `), line.verdict));
}

function number(value) {
  return value === null ? "–" : value.toFixed(Math.abs(value) < 10 ? 3 : 1);
}
