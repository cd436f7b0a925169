// Thumbnails of maps, drawn as maps or as lines from queries on the left to keys on the right.

const SIDE = 96;
const FAINTEST = 0.1;
// The strongest lines of a thumbnail; more would only blacken it.
const MOST_LINES = 160;

const strength = (cell, scale) => (scale === "root" ? Math.sqrt(cell / 255) : cell / 255);

/** Draws cells of 0 to 255, `rows` by `keys`, as a map; `hidden` tells the hidden ones, or is null. */
export function drawMap(canvas, { cells, hidden, rows, keys }, scale, palette) {
  Object.assign(canvas, { width: keys, height: rows });
  const image = new ImageData(keys, rows);
  const gray = palette.parsed("rule");
  cells.forEach((cell, i) => {
    image.data.set([...(hidden?.[i] ? gray : palette.rgb(strength(cell, scale))), 255], 4 * i);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Draws the same cells as lines. */
export function drawLines(canvas, { cells, rows, keys }, scale, palette) {
  Object.assign(canvas, { width: SIDE, height: SIDE });
  const context = canvas.getContext("2d");
  context.fillStyle = palette.named("paper");
  context.fillRect(0, 0, SIDE, SIDE);
  const strongest = [...cells.keys()].filter((i) => strength(cells[i], scale) > FAINTEST)
    .sort((a, b) => cells[a] - cells[b]).slice(-MOST_LINES);
  const y = (place, count) => (SIDE * (place + 0.5)) / count;
  for (const i of strongest) {
    const fraction = strength(cells[i], scale);
    context.strokeStyle = palette.css(fraction);
    context.lineWidth = 0.6 + 1.6 * fraction;
    context.beginPath();
    context.moveTo(0, y(Math.floor(i / keys), rows));
    context.lineTo(SIDE, y(i % keys, keys));
    context.stroke();
  }
}
