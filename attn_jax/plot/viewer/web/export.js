// Files of the current view, made in the browser.

import { make } from "./dom.js";

const PNG_SCALE = 2;

function download(name, blob) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: name.replace(/[^\p{L}\p{N}._-]+/gu, "_") }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

const svgBlob = (svg) =>
  new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" });

export function saveSvg(name, svg) {
  download(`${name}.svg`, svgBlob(svg));
}

export async function savePng(name, svg) {
  const url = URL.createObjectURL(svgBlob(svg));
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = new OffscreenCanvas(PNG_SCALE * image.width, PNG_SCALE * image.height);
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(url);
  download(`${name}.png`, await canvas.convertToBlob());
}

/** Returns rows as comma-separated values, with text that a spreadsheet would run as a formula quoted. */
export function toCsv(rows) {
  const field = (value) => {
    if (typeof value === "number") return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => Array.from(row, field).join(",")).join("\r\n");
}

export function saveCsv(name, rows) {
  download(`${name}.csv`, new Blob([toCsv(rows)], { type: "text/csv" }));
}
