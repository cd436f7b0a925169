// Attention laid over the image that was attended to: point at a patch, and see where it looks.

import { formatWeight, make, makeSvg } from "../dom.js";
import { Picker } from "../picker.js";
import { createPair } from "./pair.js";
import { textSide } from "./tokens.js";

export const title = "Image";
export const isAvailable = (data) => data.image !== null;
export const uses = ["layer", "head", "search"];

// The image keeps this share of its contrast, so that the color over it can be read.
const CONTRAST = 0.5;

const cellsOf = ({ grid, prefixTokens }) => prefixTokens + grid[0] * grid[1];

// A patch is called by its place, a prefix token by its number, where they have no labels.
function named(labels, count, { data: { image } }) {
  if (count !== cellsOf(image)) return labels;
  const columns = image.grid[1];
  const place = (cell) => `row ${Math.floor(cell / columns)}, column ${cell % columns}`;
  return Array.from({ length: count }, (_, i) => labels?.[i]
    ?? (i < image.prefixTokens ? `prefix ${i}` : place(i - image.prefixTokens)));
}

// The patches of the image, after the prefix tokens; a text where they are none.
function side(name, names, act, context) {
  const { image } = context.data;
  if (names.length !== cellsOf(image)) return textSide(name, names, act, context);
  const { grid: [rows, columns], prefixTokens: prefix, url, width, height } = image;
  return new Picker({
    label: { query: "Queries: patches of the image", key: "Keys: patches of the image" }[name],
    names,
    texts: names.map((label, index) => (index < prefix ? label : "")),
    columns,
    first: prefix,
    act,
    color: (share, index) => (index < prefix
      ? [context.palette.css(share), context.palette.textOn(share)]
      : [overlay(context.palette, share), ""]),
    arrange(items) {
      const patches = make("div", { class: "patches", role: "group", "aria-label": "patches" },
        make("img", { src: url, alt: "" }), ...items.slice(prefix));
      patches.style.gridTemplateColumns = `repeat(${columns}, 1fr)`;
      patches.style.gridTemplateRows = `repeat(${rows}, 1fr)`;
      patches.style.aspectRatio = `${width} / ${height}`;
      return prefix ? [make("div", { class: "prefix", role: "group",
        "aria-label": "prefix tokens" }, ...items.slice(0, prefix)), patches] : [patches];
    },
  });
}

function overlay(palette, share) {
  const [r, g, b, alpha] = palette.overlay(share);
  return `rgb(${Math.round(r)} ${Math.round(g)} ${Math.round(b)} / ${alpha})`;
}

// How much of what a query gives goes to no patch at all.
function note(map, { query }, gold, { data }) {
  const { image } = data;
  if (query === null || !image.prefixTokens || map.shape[1] !== cellsOf(image)) return "";
  const before = map.row(query).subarray(0, image.prefixTokens).reduce((a, b) => a + b, 0);
  return `Prefix tokens get ${formatWeight(before, false)}.`;
}

function below(sides, { data }) {
  return [...sides.querySelectorAll("img")].map((img) => [img, (box) => [
    makeSvg("rect", { ...box, fill: "#ffffff" }),
    makeSvg("image", { ...box, href: data.image.url, opacity: CONTRAST,
      "image-rendering": "pixelated", preserveAspectRatio: "none" })]]);
}

export const createView = (context) => createPair(context, { name: "image", named, side, note, below });
