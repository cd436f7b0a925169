// Colors for weights.

import { make } from "./dom.js";
import { say } from "./language.js";

/** Color scales for cells. */
export const SCALES = { map: () => say`weight`, row: () => say`fraction of the row's maximum`,
  root: () => say`square root of weight` };

/** Returns a function from a weight and its query to [red, green, blue]. */
export function coloring(map, scale, palette) {
  const max = map.max || 1;
  if (scale === "row") {
    const rows = Array.from({ length: map.shape[0] }, (_, query) => map.top(query)[0].weight || 1);
    return (weight, query) => palette.rgb(weight / rows[query]);
  }
  if (scale === "root") return (weight) => palette.rgb(Math.sqrt(weight / max));
  return (weight) => palette.rgb(weight / max);
}

/** Returns such a function for a difference of weights: one color for more, another for less. */
export function differing(map, scale, palette) {
  let max = 0;
  for (let query = 0; query < map.shape[0]; query++) {
    for (const change of map.row(query)) max = Math.max(max, Math.abs(change));
  }
  const [less, none, more] = ["right", "paper", "wrong"].map((name) => palette.parsed(name));
  return (change) => {
    const fraction = Math.abs(change) / (max || 1);
    return none.map((channel, i) => channel + ((change < 0 ? less : more)[i] - channel) * fraction);
  };
}

/** Creates a legend of the colors, from zero to the largest weight. */
export function makeLegend(palette) {
  const strip = make("span", { class: "strip" });
  const max = make("span");
  const hidden = make("span", { class: "hidden-key" }, say`hidden`);
  return {
    element: make("p", { class: "legend" }, make("span", {}, "0"), strip, max, hidden),
    render(scale, largest, hides = false) {
      hidden.hidden = !hides;
      const steps = Array.from({ length: 9 }, (_, i) => palette.css(i / 8));
      strip.style.background = `linear-gradient(to right, ${steps.join(", ")})`;
      const end = scale === "row" ? say`the row's maximum` : String(Number(largest.toPrecision(3)));
      max.textContent = scale === "root" ? say`${end}, square-root scale` : end;
    },
  };
}
