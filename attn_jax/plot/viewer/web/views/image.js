// Attention over an image: point at a patch to see what it attends to.

import { formatWeight, make, makeSvg } from "../dom.js";
import { say } from "../language.js";
import { Picker } from "../picker.js";
import { createPair } from "./pair.js";
import { textSide } from "./tokens.js";

export const title = () => say`Image`;
export const isAvailable = (data) => data.image !== null;
export const uses = ["layer", "head", "search"];

// Fraction of the image's contrast to keep, so that the colors over it stay readable.
const CONTRAST = 0.5;

const cellsOf = ({ grid, prefixTokens }) => prefixTokens + grid[0] * grid[1];

// Without labels, a patch is named by its row and column, a prefix token by its index.
function named(labels, count, { data: { image } }) {
  if (count !== cellsOf(image)) return labels;
  const columns = image.grid[1];
  const place = (cell) => say`row ${Math.floor(cell / columns)}, column ${cell % columns}`;
  return Array.from({ length: count }, (_, i) => labels?.[i]
    ?? (i < image.prefixTokens ? say`prefix ${i}` : place(i - image.prefixTokens)));
}

// The patches of the image after the prefix tokens, or text if the tokens are not patches.
function side(name, names, act, context) {
  const { image } = context.data;
  if (names.length !== cellsOf(image)) return textSide(name, names, act, context);
  const { grid: [rows, columns], prefixTokens: prefix, url, width, height, isColor } = image;
  const heat = make("canvas", { class: "heat", width: columns, height: rows, "aria-hidden": "true" });
  return new Patches(context.palette, heat, {
    label: { query: say`Queries: patches of the image`, key: say`Keys: patches of the image` }[name],
    names,
    texts: names.map((label, index) => (index < prefix ? label : "")),
    columns,
    first: prefix,
    act,
    color: (fraction, index) => (index < prefix
      ? [context.palette.css(fraction), context.palette.textOn(fraction)]
      : [overlay(context.palette, fraction), ""]),
    arrange(items) {
      const patches = make("div", { class: isColor ? "patches colors" : "patches", role: "group",
        "aria-label": say`patches` }, make("img", { src: url, alt: "" }), heat, ...items.slice(prefix));
      patches.style.gridTemplateColumns = `repeat(${columns}, 1fr)`;
      patches.style.gridTemplateRows = `repeat(${rows}, 1fr)`;
      patches.style.aspectRatio = `${width} / ${height}`;
      return prefix ? [make("div", { class: "prefix", role: "group",
        "aria-label": say`prefix tokens` }, ...items.slice(0, prefix)), patches] : [patches];
    },
  });
}

/** Patches whose weights are shown as blocks, and on a canvas that the browser smooths. */
class Patches extends Picker {
  constructor(palette, heat, options) {
    super(options);
    Object.assign(this, { palette, heat });
  }

  paint(weights) {
    super.paint(weights);
    const { width, height } = this.heat;
    const pixels = new ImageData(width, height);
    const cells = weights ? Array.from(weights.slice(this.first)) : [];
    const largest = Math.max(...cells) || 1;
    cells.forEach((weight, i) => {
      const [r, g, b, alpha] = this.palette.overlay(weight / largest);
      pixels.data.set([r, g, b, 255 * alpha], 4 * i);
    });
    this.heat.getContext("2d").putImageData(pixels, 0, 0);
  }
}

// The choice between blocks and a smooth overlay; the weights are of blocks.
function above() {
  const element = make("div");
  const box = make("input", { type: "checkbox", onchange: () =>
    element.parentElement.classList.toggle("smooth", box.checked) });
  element.append(make("label", { class: "field" }, box, make("span", {}, say`smooth`)));
  return { element, render() {} };
}

function overlay(palette, fraction) {
  const [r, g, b, alpha] = palette.overlay(fraction);
  return `rgb(${Math.round(r)} ${Math.round(g)} ${Math.round(b)} / ${alpha})`;
}

// The weight that a query gives to prefix tokens.
function note(map, { query }, gold, { data }) {
  const { image } = data;
  if (query === null || !image.prefixTokens || map.shape[1] !== cellsOf(image)) return "";
  const weight = map.row(query).subarray(0, image.prefixTokens).reduce((a, b) => a + b, 0);
  return say`Prefix tokens receive ${formatWeight(weight, false)}.`;
}

function below(sides, { data }) {
  const isSmooth = sides.closest(".smooth") !== null;
  const layer = (box, href, opacity, rendering) => makeSvg("image", {
    ...box, href, opacity, "image-rendering": rendering, preserveAspectRatio: "none" });
  return [...sides.querySelectorAll(".patches")].map((patches) => [patches, (box) => [
    makeSvg("rect", { ...box, fill: "#ffffff" }),
    layer(box, data.image.url, CONTRAST, "pixelated"),
    ...(isSmooth ? [layer(box, patches.querySelector(".heat").toDataURL(), 1, "auto")] : [])]]);
}

export const createView = (context) => createPair(context,
  { name: "image", named, above, side, note, below });
