// The view as a table, for screen readers and for anyone who prefers numbers.

import { make } from "./dom.js";
import { say } from "./language.js";

const MOST_ROWS = 64;
const MOST_COLUMNS = 24;

const cellText = (value) =>
  (typeof value === "number" ? String(Number(value.toPrecision(3))) : String(value));

/** Creates a collapsed element; `render(view)` fills it if it is open, from `view.table()`. */
export function createText() {
  const holder = make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": say`Table` });
  const note = make("p", { class: "legend" });
  const element = make("details", { class: "as-text" }, make("summary", {}, say`This view as a table`),
    note, holder);
  let shown = null;

  function fill() {
    if (!element.open || !shown) return;
    const [names, ...rows] = shown.table();
    const columns = names.slice(0, MOST_COLUMNS);
    const cut = rows.length > MOST_ROWS || names.length > MOST_COLUMNS;
    note.textContent = cut ? say`The first ${Math.min(MOST_ROWS, rows.length)} of ${rows.length} rows and ${
      columns.length} of ${names.length} columns; save the view as CSV for all.` : "";
    const line = ([first, ...rest]) => make("tr", {},
      make("th", { scope: "row" }, cellText(first)), ...rest.map((value) => make("td", {}, cellText(value))));
    holder.replaceChildren(make("table", {},
      make("thead", {}, make("tr", {}, ...columns.map((name, i) => (i === 0 && name === ""
        ? make("td", {}) : make("th", { scope: "col" }, cellText(name)))))),
      make("tbody", {}, ...rows.slice(0, MOST_ROWS).map((row) => line(row.slice(0, MOST_COLUMNS))))));
  }

  element.addEventListener("toggle", fill);
  return {
    element,
    render(view) {
      shown = view.table ? view : null;
      element.hidden = !shown;
      fill();
    },
  };
}
