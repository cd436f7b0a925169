// The controls around the views: tabs, pickers, search, theme, export, help and keyboard shortcuts.

import { make } from "./dom.js";
import { saveCsv, savePng, saveSvg } from "./export.js";
import { matches } from "./search.js";
import { SCALES } from "./shade.js";

const THEMES = { auto: "system", light: "light", dark: "dark" };
const KEYS = [
  ["1 – 9", "switch to another view"],
  ["[ and ]", "previous head, next head"],
  ["{ and }", "previous layer, next layer"],
  ["/", "search for a token; Enter goes to the next match"],
  ["arrows", "move to another query or key; with Shift, by ten"],
  ["+, −, 0", "zoom in, zoom out, show the whole map"],
  ["t", "switch between light and dark"],
  ["?", "show this help"],
];

export function createControls({ data, store, palette, views, available, current }) {
  const tabs = available.map((name) => make("button", {
    id: `tab-${name}`, role: "tab", "aria-controls": "view",
    onclick: () => store.set({ view: name }), onkeydown: turnTabs }, views[name].title));
  const layer = picker("Layer", (value) => store.set({ layer: Number(value), zoom: null }));
  const head = picker("Head", (value) =>
    store.set({ head: value === "mean" ? value : Number(value) }));
  const scale = picker("Color", (value) => store.set({ scale: value }));
  const sort = picker("Sort", (value) => store.set({ sort: value }));
  const theme = picker("Theme", (value) => store.set({ theme: value }));
  const search = make("input", { type: "search", placeholder: "token", oninput: () =>
    store.set({ search: search.value }), onkeydown: goToMatch });
  const count = make("span", { class: "matches" });
  const help = makeHelp();
  const exports = ["SVG", "PNG", "CSV"].map((kind) => make("button", {
    title: `save this view as ${kind}`, onclick: () => save(kind) }, kind));

  scale.fill(Object.entries(SCALES));
  theme.fill(Object.entries(THEMES));
  sort.fill([["place", "layer and head"], ["entropy", "entropy, lowest first"],
    ...Object.keys(data.measures).map((name) => [`measure:${name}`, `${name}, highest first`])]);
  const searchField = make("label", { class: "field" },
    make("span", {}, "Search"), search);

  const header = make("header", {},
    make("h1", {}, data.title),
    make("div", { class: "actions" }, theme.element,
      make("span", { class: "group", role: "group", "aria-label": "Save this view" }, ...exports),
      make("button", { onclick: () => help.showModal() }, "Keys")),
    make("div", { class: "tabs", role: "tablist", "aria-label": "Views" }, ...tabs), help);
  const toolbar = make("div", { class: "toolbar" },
    layer.element, head.element, scale.element, sort.element, searchField, count);
  const axes = make("p", {});
  const footer = make("footer", {}, axes, make("p", {},
    `The ${data.topK === 1 ? "largest weight" : `${data.topK} largest weights`} of each query`,
    ` ${data.topK === 1 ? "is" : "are"} exact. The others, marked ≈, are stored in 8 bits,`,
    " within 1/255 of the largest weight of their query. This file makes no network requests."));

  const shownLayers = () => (store.state.view === "summary" ? data.summaries : data.layers);
  const headsOf = (layer) => layer.heads ?? layer.maps.length;

  function render(state) {
    tabs.forEach((tab, i) => {
      const chosen = available[i] === state.view;
      tab.setAttribute("aria-selected", chosen);
      tab.tabIndex = chosen ? 0 : -1;
    });
    const shown = shownLayers();
    const heads = headsOf(shown[state.layer]);
    layer.fill(shown.map(({ name }, i) => [i, name]));
    head.fill([...Array.from({ length: heads }, (_, i) => [i, `head ${i}`]),
      ...(heads > 1 ? [["mean", "mean of heads"]] : [])]);
    for (const [each, value] of [[layer, state.layer], [head, state.head], [scale, state.scale],
      [sort, state.sort], [theme, state.theme]]) each.choose(value);
    const uses = views[state.view].uses ?? ["layer", "head", "scale", "search"];
    for (const [name, field] of Object.entries({ layer: layer.element, head: head.element,
      scale: scale.element, sort: sort.element, search: searchField })) {
      field.hidden = !uses.includes(name);
    }
    if (search.value !== state.search) search.value = state.search;
    axes.textContent = describeAxes(state);
    count.textContent = state.search && uses.includes("search") ? describeMatches() : "";
    exports.forEach((button, i) =>
      (button.disabled = !(i < 2 ? current()?.picture : current()?.table)));
  }

  // How each array was read, so that nobody mistakes a batch for heads.
  function describeAxes({ view, layer }) {
    const { name, reading } = shownLayers()[layer];
    const other = view === "compare" ? `; ${data.compareNames[1]}: ${data.compared[layer].reading}` : "";
    return `Axes of ${name}: ${reading}${other}.`;
  }

  function hits() {
    const { labels, shape } = shownLayers()[store.state.layer];
    return matches(labels, shape, store.state.search);
  }

  function describeMatches() {
    const { query, key } = hits();
    return `Matches: ${query.size} queries, ${key.size} keys`;
  }

  // Enter goes to the next matching query or key; Escape clears the search.
  function goToMatch(event) {
    if (event.key === "Escape") store.set({ search: "" });
    if (event.key !== "Enter") return;
    const after = (set, current) => [...set].find((i) => i > (current ?? -1)) ?? [...set][0] ?? null;
    const { query, key } = hits();
    store.set({ query: after(query, store.state.query), key: after(key, store.state.key) });
  }

  function turnTabs(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = (available.indexOf(store.state.view) + by + available.length) % available.length;
    store.set({ view: available[next] });
    tabs[next].focus();
    event.preventDefault();
  }

  function turn(name, by, count) {
    const current = store.state[name] === "mean" ? 0 : store.state[name];
    store.set({ [name]: (current + by + count) % count });
  }

  async function save(kind) {
    const view = current();
    const name = `${data.title}-${store.state.view}`;
    if (kind === "CSV") saveCsv(name, await view.table());
    else await (kind === "SVG" ? saveSvg : savePng)(name, await view.picture());
  }

  function keydown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return false;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return false;
    const shown = shownLayers();
    const heads = headsOf(shown[store.state.layer]);
    const actions = {
      "[": () => turn("head", -1, heads),
      "]": () => turn("head", 1, heads),
      "{": () => turn("layer", -1, shown.length),
      "}": () => turn("layer", 1, shown.length),
      "/": () => search.focus(),
      "?": () => help.showModal(),
      t: () => store.set({ theme: palette.dark ? "light" : "dark" }),
    };
    const view = available[Number(event.key) - 1];
    const action = view ? () => store.set({ view }) : actions[event.key];
    action?.();
    return Boolean(action);
  }

  return { header, toolbar, footer, render, keydown };
}

/** A labeled select whose options are [value, text] pairs. */
function picker(name, act) {
  const select = make("select", { onchange: () => act(select.value) });
  let filled = "";
  return {
    element: make("label", { class: "field" }, make("span", {}, name), select),
    fill(options) {
      const serialized = JSON.stringify(options);
      if (serialized === filled) return;
      filled = serialized;
      select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
    },
    choose(value) {
      select.value = String(value);
    },
  };
}

function makeHelp() {
  const dialog = make("dialog", { "aria-label": "Keys" });
  const rows = KEYS.flatMap(([keys, text]) => [make("dt", {}, keys), make("dd", {}, text)]);
  dialog.append(make("h2", {}, "Keys"), make("dl", {}, ...rows),
    make("button", { onclick: () => dialog.close() }, "Close"));
  return dialog;
}
