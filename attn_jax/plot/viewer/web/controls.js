// The controls around the views: tabs, pickers, search, theme, export, help and keyboard shortcuts.

import { make } from "./dom.js";
import { saveCsv, savePng, saveSvg } from "./export.js";
import { kindName, kindOf, kindsOf } from "./kinds.js";
import { LANGUAGES, reading, say, nameInPage, sentences } from "./language.js";
import { picker, player } from "./pickers.js";
import { matches } from "./search.js";
import { SCALES } from "./shade.js";
import { PAIRS, WEIGHTINGS } from "./shown.js";

const THEMES = { auto: () => say`system`, light: () => say`light`, dark: () => say`dark` };
const PAGES = { example: { name: () => say`Example`, play: () => say`play the examples` },
  step: { name: () => say`Step`, play: () => say`play the steps` } };
const ORDERS = { place: () => say`layer and head`, score: () => say`score` };
const THUMBS = { maps: () => say`maps`, lines: () => say`lines` };
const keys = () => [
  ["1 – 9", say`switch to another view`],
  [say`[ and ]`, say`previous head, next head`],
  [say`{ and }`, say`previous layer, next layer`],
  [say`< and >`, say`previous example or step, next one`],
  ["/", say`search for a token; Enter goes to the next match`],
  [say`arrows`, say`move to another query or key; with Shift, by ten`],
  ["+, −, 0", say`zoom in, zoom out, show the whole map`],
  ["t", say`switch between light and dark`],
  ["?", say`show this help`],
];

/** Creates the controls; `data` is that of the page shown, and `pages` are {kind, names}. */
export function createControls({ data, store, palette, views, available, current, pages }) {
  const tabs = available.map((name) => make("button", {
    id: `tab-${name}`, role: "tab", "aria-controls": "view",
    onclick: () => store.set({ view: name }), onkeydown: turnTabs }, views[name].title()));
  const set = (name, convert = (value) => value) => (value) => store.set({ [name]: convert(value) });
  const page = picker(PAGES[pages.kind].name(), set("page", Number));
  const kind = picker(say`Attention`, (value) => store.set({ zoom: null,
    layer: shownLayers().findIndex((each) => kindOf(each) === value) }));
  const layer = picker(say`Layer`, (value) => store.set({ layer: Number(value), zoom: null }));
  const head = picker(say`Head`, set("head", (value) => (value === "mean" ? value : Number(value))));
  const weighting = picker(say`Weights`, set("weighting"));
  const pairs = picker(say`Sentences`, set("pairs"));
  const scale = picker(say`Color`, set("scale"));
  const score = picker(say`Score`, set("score"));
  const sort = picker(say`Order`, set("sort"));
  const thumbs = picker(say`Drawn as`, set("thumbs"));
  const turnPage = (by) => turn("page", by, pages.names.length);
  const playPages = player(PAGES[pages.kind].play(), () => turnPage(1));
  const playLayers = player(say`play the layers`, () => turnLayer(1));
  const theme = picker(say`Theme`, set("theme"));
  const language = picker(say`Language`, set("language"));
  const search = make("input", { type: "search", placeholder: say`token`, oninput: () =>
    store.set({ search: search.value }), onkeydown: goToMatch });
  const count = make("span", { class: "matches" });
  const help = makeHelp();
  const exports = ["SVG", "PNG", "CSV"].map((kind) => make("button", {
    title: say`save this view as ${kind}`, onclick: () => save(kind) }, kind));

  const options = (texts) => Object.entries(texts).map(([value, text]) => [value, text()]);
  scale.fill(options(SCALES));
  theme.fill(options(THEMES));
  sort.fill(options(ORDERS));
  thumbs.fill(options(THUMBS));
  pairs.fill(options(PAIRS));
  language.fill(Object.entries(LANGUAGES));
  page.fill(pages.names.map((name, i) => [i, name]));
  const searchField = make("label", { class: "field" },
    make("span", {}, say`Search`), search);

  const header = make("header", {},
    make("h1", {}, data.title),
    make("div", { class: "actions" }, language.element, theme.element,
      make("span", { class: "group", role: "group", "aria-label": say`Save this view` }, ...exports),
      make("button", { onclick: () => help.showModal() }, say`Shortcuts`)),
    make("div", { class: "tabs", role: "tablist", "aria-label": say`Views` }, ...tabs), help);
  const toolbar = make("div", { class: "toolbar" },
    page.element, playPages.element, kind.element, layer.element, playLayers.element, head.element,
    weighting.element, pairs.element, scale.element, score.element, sort.element, thumbs.element,
    searchField, count);
  const axes = make("p", {});
  const footer = make("footer", {}, axes, make("p", {}, sentences([
    data.topK === 1 ? say`The largest weight of each query is exact.`
      : say`The ${data.topK} largest weights of each query are exact.`,
    say`The others, marked ≈, are stored in 8 bits, within 1/255 of the largest weight of their query.`,
    say`This file makes no network requests.`])));

  const shownLayers = () => (store.state.view === "summary" ? data.summaries : data.layers);
  // The layers of the same kind as the one shown.
  function siblings({ layer: place }) {
    const shown = shownLayers();
    return [...shown.keys()].filter((i) => kindOf(shown[i]) === kindOf(shown[place]));
  }
  const headsOf = (layer) => layer.heads ?? layer.maps.length;

  function render(state) {
    tabs.forEach((tab, i) => {
      const chosen = available[i] === state.view;
      tab.setAttribute("aria-selected", chosen);
      tab.tabIndex = chosen ? 0 : -1;
    });
    const shown = shownLayers();
    const heads = headsOf(shown[state.layer]);
    const kinds = kindsOf(shown);
    kind.fill(kinds.map((name) => [name, kindName(name)]));
    score.fill(Object.keys(data.scores).map((name) => [name, nameInPage(name)]));
    const { sentenceB, weightings = [] } = shown[state.layer];
    weighting.fill(weightings.map((name) => [name, WEIGHTINGS[name]()]));
    layer.fill(siblings(state).map((i) => [i, shown[i].name]));
    head.fill([...Array.from({ length: heads }, (_, i) => [i, say`head ${i}`]),
      ...(heads > 1 && !views[state.view].oneHead ? [["mean", say`mean of heads`]] : [])]);
    const values = { ...state, kind: kindOf(shown[state.layer]) };
    for (const [name, each] of Object.entries({ page, kind, layer, head, weighting, pairs, scale, score,
      sort, thumbs, theme, language })) each.choose(values[name]);
    const uses = views[state.view].uses ?? ["layer", "head", "weighting", "scale", "search"];
    const several = { kind: kinds.length > 1, weighting: weightings.length > 1, pairs: Boolean(sentenceB),
      plays: siblings(state).length > 1 };
    const shows = (name, as = name) => uses.includes(as) && (several[name] ?? true);
    for (const [name, field] of Object.entries({ head, scale, score, sort, thumbs, weighting, layer })) {
      field.element.hidden = !shows(name);
    }
    searchField.hidden = !shows("search");
    kind.element.hidden = !shows("kind", "layer");
    pairs.element.hidden = !shows("pairs", "layer");
    playLayers.element.hidden = !shows("plays", "layer");
    page.element.hidden = playPages.element.hidden = pages.names.length < 2;
    if (!shows("plays", "layer")) playLayers.stop();
    if (search.value !== state.search) search.value = state.search;
    axes.textContent = describeAxes(state);
    count.textContent = state.search && uses.includes("search") ? describeMatches() : "";
    exports.forEach((button, i) =>
      (button.disabled = !(i < 2 ? current()?.picture : current()?.table)));
  }

  // How each array was read, so that nobody mistakes a batch for heads.
  function describeAxes({ view, layer }) {
    const shown = shownLayers()[layer];
    const own = reading(shown.reading);
    return view === "compare"
      ? say`Axes of ${shown.name}: ${own}; ${nameInPage(data.compareNames[1])}: ${reading(data.compared[layer].reading)}.`
      : say`Axes of ${shown.name}: ${own}.`;
  }

  function hits() {
    const { labels, shape } = shownLayers()[store.state.layer];
    return matches(labels, shape, store.state.search);
  }

  function describeMatches() {
    const { query, key } = hits();
    return say`Matches: ${query.size} queries, ${key.size} keys`;
  }

  // Enter goes to the next matching query or key; Escape clears the search.
  function goToMatch(event) {
    if (event.key === "Escape") store.set({ search: "" });
    if (event.key !== "Enter") return;
    const after = (set, current) => [...set].find((i) => i > (current ?? -1)) ?? [...set][0] ?? null;
    const { query, key } = hits();
    store.set({ query: after(query, store.state.query), key: after(key, store.state.key) });
  }

  function turnLayer(by) {
    const all = siblings(store.state);
    const next = (all.indexOf(store.state.layer) + by + all.length) % all.length;
    store.set({ layer: all[next], zoom: null });
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
      "{": () => turnLayer(-1),
      "}": () => turnLayer(1),
      "<": () => turnPage(-1),
      ">": () => turnPage(1),
      "/": () => search.focus(),
      "?": () => help.showModal(),
      t: () => store.set({ theme: palette.dark ? "light" : "dark" }),
    };
    const view = available[Number(event.key) - 1];
    const action = view ? () => store.set({ view }) : actions[event.key];
    action?.();
    return Boolean(action);
  }

  function stop() {
    playPages.stop();
    playLayers.stop();
  }

  return { header, toolbar, footer, language: language.element, render, keydown, stop };
}

function makeHelp() {
  const dialog = make("dialog", { "aria-label": say`Shortcuts` });
  const rows = keys().flatMap(([key, text]) => [make("dt", {}, key), make("dd", {}, text)]);
  dialog.append(make("h2", {}, say`Shortcuts`), make("dl", {}, ...rows),
    make("button", { onclick: () => dialog.close() }, say`Close`));
  return dialog;
}
