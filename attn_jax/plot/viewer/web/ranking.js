// Lists of the largest weights, with names, numbers and bars.

import { formatWeight, make, nameOf } from "./dom.js";
import { say } from "./language.js";

const LISTED = 8;

/** Returns the indices of the largest nonzero weights. */
export function largest(weights, count) {
  const order = [...weights.keys()].sort((a, b) => weights[b] - weights[a]).slice(0, count);
  return order.filter((index) => weights[index] > 0);
}

/** Returns the index of the largest weight, or -1 if all are zero. */
export function best(weights) {
  let index = -1;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] > (index < 0 ? 0 : weights[index])) index = i;
  }
  return index;
}

/** Lists `entries`, {index, weight, exact}, in descending order. */
export function ranking(heading, entries, labels) {
  const items = entries.map(({ index, weight, exact }) => {
    const bar = make("span", { class: "bar" });
    bar.style.width = `${(100 * weight) / entries[0].weight}%`;
    return make("li", {}, make("span", { class: "name" }, nameOf(labels, index)),
      make("span", { class: "place" }, labels ? String(index) : ""),
      make("span", { class: "value" }, formatWeight(weight, exact)), bar);
  });
  return make("section", {}, make("h2", {}, heading), make("ol", {}, ...items));
}

/** Lists the keys that a query attends to and the queries that attend to a key, if given. */
export function rankings(map, { queries, keys }, { query, key }) {
  const entries = (weights, isExact) => largest(weights, LISTED).map((index) =>
    ({ index, weight: weights[index], exact: isExact(index) }));
  const ofQuery = query === null ? [] : [ranking(say`${nameOf(queries, query)} attends to`,
    entries(map.row(query), (index) => map.isExact(query, index)), keys)];
  const ofKey = key === null ? [] : [ranking(say`Queries that attend to ${nameOf(keys, key)}`,
    entries(map.column(key), (index) => map.isExact(index, key)), queries)];
  return [...ofQuery, ...ofKey];
}

/** Returns a whole map as rows of a table. */
export function tableOf(map, { queries, keys }) {
  const names = Array.from({ length: map.shape[1] }, (_, key) => keys?.[key] ?? key);
  const rows = Array.from({ length: map.shape[0] }, (_, query) =>
    [queries?.[query] ?? query, ...map.row(query)]);
  return [["", ...names], ...rows];
}
