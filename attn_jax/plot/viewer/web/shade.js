// How weights become colors.

import { make } from "./dom.js";

/** What the color of a cell may mean. */
export const SCALES = { map: "weight", row: "share of the row's largest", root: "square root of weight" };

/** Gives a function of a weight and its query that returns [red, green, blue]. */
export function coloring(map, scale, palette) {
  const most = map.max || 1;
  if (scale === "row") {
    const rows = Array.from({ length: map.shape[0] }, (_, query) => map.top(query)[0].weight || 1);
    return (weight, query) => palette.rgb(weight / rows[query]);
  }
  if (scale === "root") return (weight) => palette.rgb(Math.sqrt(weight / most));
  return (weight) => palette.rgb(weight / most);
}

/** Gives a like function of a difference of weights: one color for more, another for less. */
export function differing(map, scale, palette) {
  let most = 0;
  for (let query = 0; query < map.shape[0]; query++) {
    for (const change of map.row(query)) most = Math.max(most, Math.abs(change));
  }
  const [less, none, more] = ["right", "paper", "wrong"].map((name) => palette.parsed(name));
  return (change) => {
    const share = Math.abs(change) / (most || 1);
    return none.map((channel, i) => channel + ((change < 0 ? less : more)[i] - channel) * share);
  };
}

/** The scale of the colors, from zero to the largest weight. */
export function makeLegend(palette) {
  const strip = make("span", { class: "strip" });
  const most = make("span");
  return {
    element: make("p", { class: "legend" }, make("span", {}, "0"), strip, most),
    render(scale, largest) {
      const steps = Array.from({ length: 9 }, (_, i) => palette.css(i / 8));
      strip.style.background = `linear-gradient(to right, ${steps.join(", ")})`;
      const end = scale === "row" ? "the row's largest" : String(Number(largest.toPrecision(3)));
      most.textContent = scale === "root" ? `${end}, by square root` : end;
    },
  };
}
