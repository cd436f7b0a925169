// What is seen: one plain object, kept in the page's address so that it can be sent to someone.

const DEFAULTS = {
  view: "matrix", layer: 0, head: 0, query: null, key: null, zoom: null,
  search: "", sort: "place", scale: "map", theme: "auto", words: "",
};
// How the text of an address becomes a value; what cannot be read is left as it was.
const number = (text) => (/^\d+$/.test(text) ? Number(text) : undefined);
const perhaps = (text) => (text === "" ? null : number(text));
const READ = {
  layer: number,
  query: perhaps,
  key: perhaps,
  head: (text) => (text === "mean" ? text : number(text)),
  zoom: (text) => {
    const parts = text.split(",").map(Number);
    if (text === "") return null;
    return parts.length === 3 && parts.every(Number.isFinite) ? parts : undefined;
  },
};
const asText = (text) => text;

// Reads a state from an address's fragment.
function parseFragment(fragment) {
  const parts = [...new URLSearchParams(fragment.replace(/^#/, ""))]
    .filter(([name]) => Object.hasOwn(DEFAULTS, name))
    .map(([name, text]) => [name, (READ[name] ?? asText)(text)]);
  return Object.fromEntries(parts.filter(([, value]) => value !== undefined));
}

// Writes what differs from the state that the page opens with.
function formatFragment(state, opening) {
  const parts = Object.keys(DEFAULTS)
    .map((name) => [name, String(state[name] ?? "")])
    .filter(([name, text]) => text !== String(opening[name] ?? ""));
  return new URLSearchParams(parts).toString();
}

/** Brings a state within what the data has. */
export function clampState(state, data, views) {
  const clamped = { ...state };
  if (!views.includes(clamped.view)) clamped.view = views[0];
  const shown = clamped.view === "summary" ? data.summaries : data.layers;
  if (!(clamped.layer < shown.length)) clamped.layer = 0;
  const { shape, maps, heads } = shown[clamped.layer];
  if (clamped.head !== "mean" && !(clamped.head < (heads ?? maps.length))) clamped.head = 0;
  if (!(clamped.query < shape[0])) clamped.query = null;
  if (!(clamped.key < shape[1])) clamped.key = null;
  return clamped;
}

/** Holds the state; `set` changes some of it and tells whoever subscribed. */
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

  /** Goes to what an address names. */
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
