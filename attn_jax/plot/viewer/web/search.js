// Tokens that hold what was typed.

/** The queries and keys whose labels, or numbers, hold `text`: sets of indices. */
export function matches(labels, [queries, keys], text) {
  const wanted = text.trim().toLowerCase();
  const among = (names, count) => {
    if (!wanted) return new Set();
    if (!names) return /^\d+$/.test(wanted) && wanted < count ? new Set([Number(wanted)]) : new Set();
    return new Set([...names.keys()].filter((i) => names[i].toLowerCase().includes(wanted)));
  };
  return { query: among(labels.queries, queries), key: among(labels.keys, keys) };
}
