// The largest of some weights, as a list of names, numbers and bars.

import { formatWeight, make, nameOf } from "./dom.js";

const LISTED = 8;

/** The places of the largest weights that are not zero. */
export function largest(weights, count) {
  const order = [...weights.keys()].sort((a, b) => weights[b] - weights[a]).slice(0, count);
  return order.filter((index) => weights[index] > 0);
}

/** Lists `entries`, {index, weight, exact}, the largest first. */
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

/** Where a query looks and who looks at a key, as far as there are such. */
export function rankings(map, { queries, keys }, { query, key }) {
  const entries = (weights, isExact) => largest(weights, LISTED).map((index) =>
    ({ index, weight: weights[index], exact: isExact(index) }));
  const looks = query === null ? [] : [ranking(`${nameOf(queries, query)} looks at`,
    entries(map.row(query), (index) => map.isExact(query, index)), keys)];
  const lookers = key === null ? [] : [ranking(`Who looks at ${nameOf(keys, key)}`,
    entries(map.column(key), (index) => map.isExact(index, key)), queries)];
  return [...looks, ...lookers];
}

/** A whole map as rows of a table. */
export function tableOf(map, { queries, keys }) {
  const names = Array.from({ length: map.shape[1] }, (_, key) => keys?.[key] ?? key);
  const rows = Array.from({ length: map.shape[0] }, (_, query) =>
    [queries?.[query] ?? query, ...map.row(query)]);
  return [["", ...names], ...rows];
}
