// Search in the labels of tokens.

/** Returns the queries and keys whose labels, or indices, contain `text`, as sets of indices. */
export function matches(labels, [queries, keys], text) {
  const needle = text.trim().toLowerCase();
  const among = (names, count) => {
    if (!needle) return new Set();
    if (!names) return /^\d+$/.test(needle) && needle < count ? new Set([Number(needle)]) : new Set();
    return new Set([...names.keys()].filter((i) => names[i].toLowerCase().includes(needle)));
  };
  return { query: among(labels.queries, queries), key: among(labels.keys, keys) };
}
