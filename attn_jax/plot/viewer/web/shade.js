// How weights become colours.

/** What the colour of a cell may mean. */
export const SCALES = {
  map: "share of the map's largest weight",
  row: "share of the query's largest weight",
  root: "square root of that of the map's",
};

/** Gives a function of a weight and its query that returns [red, green, blue]. */
export function colouring(map, scale, palette) {
  const most = map.max || 1;
  if (scale === "row") {
    const rows = Array.from({ length: map.shape[0] }, (_, query) => map.top(query)[0].weight || 1);
    return (weight, query) => palette.rgb(weight / rows[query]);
  }
  if (scale === "root") return (weight) => palette.rgb(Math.sqrt(weight / most));
  return (weight) => palette.rgb(weight / most);
}

/** Gives a like function of a difference of weights: one colour for more, another for less. */
export function differing(map, scale, palette) {
  let most = 0;
  for (let query = 0; query < map.shape[0]; query++) {
    for (const change of map.row(query)) most = Math.max(most, Math.abs(change));
  }
  return (change) => palette.change(most ? change / most : 0);
}
