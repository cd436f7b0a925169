// Maps as SVG, for saving.

import { makeSvg, nameOf } from "../dom.js";

function asUrl(blob) {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.readAsDataURL(blob);
  });
}

/** Creates an SVG of a size with a background. */
export function makeSheet(palette, { width, height }, ...children) {
  return makeSvg("svg", { width, height, viewBox: `0 0 ${width} ${height}`,
    "font-family": "sans-serif", "font-size": 11 },
  makeSvg("rect", { width, height, fill: palette.named("paper") }), ...children);
}

/** Creates an SVG image of a canvas at [x, y], as large as `size`; `part` crops it. */
export async function makeImage(canvas, [x, y], size, part = [0, 0, canvas.width, canvas.height]) {
  const blob = await new Promise((resolve) => (canvas.convertToBlob
    ? canvas.convertToBlob().then(resolve) : canvas.toBlob(resolve)));
  const image = makeSvg("image", { href: await asUrl(blob), width: canvas.width,
    height: canvas.height, preserveAspectRatio: "none", "image-rendering": "pixelated" });
  return makeSvg("svg", { x, y, width: size[0], height: size[1], viewBox: part.join(" "),
    preserveAspectRatio: "none" }, image);
}

/** Draws the visible part of a panel's map and labels. */
export async function drawPicture({ geometry, cells, labels, matched, palette, sizes }) {
  const image = await makeImage(cells, [geometry.left, geometry.top],
    [geometry.columns * geometry.cell, geometry.rows * geometry.cell],
    [geometry.x, geometry.y, geometry.columns, geometry.rows]);
  const texts = ["query", "key"].flatMap((axis) => geometry.ticks(axis, matched[axis]).map(({ index }) => {
    const [x, y] = geometry.labelAt(axis, index);
    const names = axis === "query" ? labels.queries : labels.keys;
    return makeSvg("text", { x, y, "dominant-baseline": "middle", fill: palette.named("ink"),
      "text-anchor": axis === "query" ? "end" : "start",
      transform: axis === "query" ? null : `rotate(-60 ${x} ${y})` }, nameOf(names, index));
  }));
  return makeSheet(palette, sizes, image, ...texts);
}

/** Places pictures of one size side by side. */
export function sideBySide(palette, pictures, { width, height }) {
  pictures.forEach((picture, i) => picture.setAttribute("x", i * width));
  return makeSheet(palette, { width: pictures.length * width, height }, ...pictures);
}

/**
 * Draws items of the page with their colors and texts, at their positions within `root`.
 *
 * `below` is a list of [element, (box) => SVG nodes] drawn under them.
 */
export function drawItems(root, palette, items, below) {
  const frame = root.getBoundingClientRect();
  const boxOf = (element) => {
    const { left, top, width, height } = element.getBoundingClientRect();
    return { x: left - frame.left, y: top - frame.top, width, height };
  };
  const drawn = items.flatMap((item) => {
    const box = boxOf(item);
    const picked = item.getAttribute("aria-selected") === "true";
    const rect = makeSvg("rect", { ...box, rx: 3, fill: item.style.background || "none",
      stroke: picked ? palette.named("right") : "none", "stroke-width": 2 });
    const text = makeSvg("text", { x: box.x + 5, y: box.y + box.height / 2,
      "dominant-baseline": "central", fill: item.style.color || palette.named("ink") },
    item.textContent);
    return item.textContent ? [rect, text] : [rect];
  });
  return makeSheet(palette, frame,
    ...below.flatMap(([element, draw]) => draw(boxOf(element))), ...drawn);
}
