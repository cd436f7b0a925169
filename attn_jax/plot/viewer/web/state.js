// The state of the page: a plain object, kept in its address so that a link restores it.

import { LANGUAGES } from "./language.js";
import { PAIRS } from "./shown.js";

const DEFAULTS = {
  view: "matrix", page: 0, layer: 0, head: 0, query: null, key: null, zoom: null,
  search: "", sort: "place", score: "entropy", scale: "map", theme: "auto", words: "",
  pairs: "", weighting: "", shown: "", thumbs: "maps", language: "en",
};
// Words of older addresses, or of tabs.
const VIEWS = { model: "overview" };
// Conversions from the text of an address to values; undefined leaves a value as it is.
const number = (text) => (/^\d+$/.test(text) ? Number(text) : undefined);
const optionalNumber = (text) => (text === "" ? null : number(text));
const PARSERS = {
  view: (text) => VIEWS[text] ?? text,
  page: number,
  layer: number,
  query: optionalNumber,
  key: optionalNumber,
  head: (text) => (text === "mean" ? text : number(text)),
  zoom: (text) => {
    const parts = text.split(",").map(Number);
    if (text === "") return null;
    return parts.length === 3 && parts.every(Number.isFinite) ? parts : undefined;
  },
};
const asText = (text) => text;

// Parses a state from the fragment of an address.
function parseFragment(fragment) {
  const parts = [...new URLSearchParams(fragment.replace(/^#/, ""))]
    .filter(([name]) => Object.hasOwn(DEFAULTS, name))
    .map(([name, text]) => [name, (PARSERS[name] ?? asText)(text)]);
  return sorted(Object.fromEntries(parts.filter(([, value]) => value !== undefined)));
}

// Older addresses named the score to sort by as `sort`, measures with a prefix.
function sorted(state) {
  if ([undefined, "place", "score"].includes(state.sort)) return state;
  return { ...state, sort: "score", score: state.sort.replace(/^measure:/, "") };
}

// Formats the differences from the state that the page opens with.
function formatFragment(state, opening) {
  const parts = Object.keys(DEFAULTS)
    .map((name) => [name, String(state[name] ?? "")])
    .filter(([name, text]) => text !== String(opening[name] ?? ""));
  return new URLSearchParams(parts).toString();
}

/** Limits a state to what the data of its page has; in some `views` there is no mean of heads. */
export function clampState(state, pages, views, oneHead) {
  const clamped = { ...state };
  if (!(clamped.page < pages.length)) clamped.page = 0;
  const data = pages[clamped.page];
  if (!views.includes(clamped.view)) clamped.view = views[0];
  const shown = clamped.view === "summary" ? data.summaries : data.layers;
  if (!(clamped.layer < shown.length)) clamped.layer = 0;
  const { shape, maps, heads, sentenceB, weightings } = shown[clamped.layer];
  if (clamped.head !== "mean" && !(clamped.head < (heads ?? maps.length))) clamped.head = 0;
  if (clamped.head === "mean" && oneHead.includes(clamped.view)) clamped.head = 0;
  if (!(clamped.query < shape[0])) clamped.query = null;
  if (!(clamped.key < shape[1])) clamped.key = null;
  if (!sentenceB || !Object.hasOwn(PAIRS, clamped.pairs)) clamped.pairs = "";
  if (!weightings?.includes(clamped.weighting)) clamped.weighting = "";
  if (!Object.hasOwn(data.scores, clamped.score)) clamped.score = "entropy";
  if (!Object.hasOwn(LANGUAGES, clamped.language)) clamped.language = "en";
  return clamped;
}

/** Holds the state; `set` changes parts of it and notifies subscribers. */
export class Store {
  constructor(opening, fragment, clamp) {
    this.opening = { ...DEFAULTS, ...opening };
    this.clamp = clamp;
    this.listeners = new Set();
    this.state = clamp({ ...this.opening, ...parseFragment(fragment) });
  }

  set(changes) {
    const before = this.state;
    const after = this.clamp({ ...before, ...changes });
    if (Object.keys(DEFAULTS).every((name) => after[name] === before[name])) return;
    this.state = after;
    for (const listener of this.listeners) listener(after, before);
  }

  /** Sets the state that an address names. */
  goTo(fragment) {
    this.set({ ...this.opening, ...parseFragment(fragment) });
  }

  get fragment() {
    return formatFragment(this.state, this.opening);
  }

  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
