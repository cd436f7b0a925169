// What elements of the page look like, as SVG.

import { makeSvg } from "./dom.js";

/**
 * Draws items with their colours and texts where they are within `root`.
 *
 * `below` is a list of [element, (box) => SVG nodes] drawn under them.
 */
export function pictureOf(root, palette, items, below = []) {
  const frame = root.getBoundingClientRect();
  const boxOf = (element) => {
    const { left, top, width, height } = element.getBoundingClientRect();
    return { x: left - frame.left, y: top - frame.top, width, height };
  };
  const ink = palette.named("ink");
  const drawn = items.flatMap((item) => {
    const box = boxOf(item);
    const picked = item.getAttribute("aria-selected") === "true";
    const text = makeSvg("text", { x: box.x + 5, y: box.y + box.height / 2, "font-size": 12,
      "dominant-baseline": "central", fill: item.style.color || ink }, item.textContent);
    const rect = makeSvg("rect", { ...box, rx: 3, fill: item.style.background || "none",
      stroke: picked ? palette.named("right") : "none", "stroke-width": 2 });
    return item.textContent ? [rect, text] : [rect];
  });
  const { width, height } = frame;
  return makeSvg("svg", { xmlns: "http://www.w3.org/2000/svg", width, height,
    viewBox: `0 0 ${width} ${height}`, "font-family": "sans-serif" },
  makeSvg("rect", { width, height, fill: palette.named("paper") }),
  ...below.flatMap(([element, draw]) => draw(boxOf(element))), ...drawn);
}
