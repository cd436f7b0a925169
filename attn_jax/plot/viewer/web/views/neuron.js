// How a query comes to its weights: its vector and those of the keys, their products feature by
// feature, the sums of these, the scores and their softmax.

import { formatWeight, make, makeSvg, nameOf, placed } from "../dom.js";
import { say, sentences } from "../language.js";
import { Picker } from "../picker.js";
import { matches } from "../search.js";
import { makeImage, makeSheet } from "./picture.js";
import { largestSize, Strips } from "./strips.js";
import { textSide } from "./tokens.js";

export const title = () => say`Neuron`;
export const isAvailable = (data) => data.layers.some(({ neurons }) => neurons);
export const uses = ["layer", "head", "search"];
export const oneHead = true;

const ROW = 22; // as in the style sheet
const LISTED = 8;

const short = (number) => String(Number(number.toPrecision(3)));

export function createView(context) {
  const { data, store, palette, announce } = context;
  const readout = make("p", { class: "readout" });
  const lists = make("div", { class: "lists" });
  const queries = make("section", { class: "queries" });
  const names = make("div");
  const point = (key, feature) => show(key === null ? null : { key, feature });
  const strips = { query: new Strips(palette, () => null), key: new Strips(palette, point),
    product: new Strips(palette, point) };
  const [sums, scores, weights] = ["sums", "scores", "weights"].map((name) =>
    make("div", { class: `numbers ${name}`, "aria-hidden": "true" }));
  const heads = Object.fromEntries(["query", "key", "product", "sum", "score", "weight"].map(
    (name) => [name, make("h2", { class: name })]));
  const columns = make("div", { class: "neuron-columns" },
    heads.query, strips.query.element, make("span"), heads.key, heads.product, heads.sum, heads.score,
    heads.weight, names, strips.key.element, strips.product.element, sums, scores, weights);
  const missing = make("p", { class: "missing" },
    say`Queries and keys of this layer were not captured; choose another layer.`);
  const element = make("div", { class: "matrix neuron" },
    make("div", { class: "main" }, queries, missing,
      make("div", { class: "scroll-x", tabindex: "0", role: "group", "aria-label": say`Products of query and keys` }, columns)),
    make("div", { class: "side" }, readout, lists));
  // The rendered page: { layer, labels, map, query, vectors, products, sums, scores, pickers }.
  let rendered = null;

  function build(layer) {
    const { labels, shape } = data.layers[layer];
    const texts = (all, count) => Array.from({ length: count }, (_, i) => nameOf(all, i));
    const act = (name) => ({ pick: (index) => store.set({ [name]: index }),
      point: name === "key" ? (index) => point(index, null) : () => {} });
    const pickers = {
      query: textSide("query", texts(labels.queries, shape[0]), act("query"), context),
      key: new Picker({ label: say`Keys`, names: texts(labels.keys, shape[1]), act: act("key"),
        color: () => ["", ""] }),
    };
    queries.replaceChildren(make("h2", {}, say`Query`), pickers.query.element);
    names.replaceChildren(pickers.key.element);
    return { layer, labels, pickers };
  }

  function column(holder, values, text) {
    holder.replaceChildren(...values.map((value) => make("div", {}, text(value))));
  }

  async function render(state) {
    const { neurons, labels, shape } = data.layers[state.layer];
    missing.hidden = Boolean(neurons);
    columns.hidden = queries.hidden = !neurons;
    if (!neurons) {
      rendered = null;
      readout.textContent = "";
      lists.replaceChildren();
      return;
    }
    const [map, loaded] = await Promise.all([data.pick({ ...state, weighting: "" }), neurons.load(state.head)]);
    if (state !== store.state) return;
    const { size, scale } = neurons;
    const moved = rendered && (rendered.query !== (state.query ?? 0) || rendered.key !== state.key);
    if (rendered?.layer !== state.layer) rendered = build(state.layer);
    const query = state.query ?? 0;
    const vector = loaded.query.subarray(query * size, (query + 1) * size);
    const vectors = Array.from({ length: shape[1] }, (_, key) =>
      loaded.key.subarray(key * size, (key + 1) * size));
    const products = vectors.map((each) => each.map((value, i) => value * vector[i]));
    const dots = products.map((each) => each.reduce((a, b) => a + b, 0));
    const scored = loaded.scores ? [...loaded.scores.subarray(query * shape[1], (query + 1) * shape[1])]
      : scale === null ? null : dots.map((dot) => dot * scale);
    const row = map.row(query);
    const isHidden = (key) => Boolean(map.isHidden?.(query, key));
    Object.assign(rendered, { map, query, key: state.key, vector, vectors, products, dots, scored, row });
    const max = largestSize([vector, ...vectors]);
    strips.query.draw([vector], max);
    strips.key.draw(vectors, max, isHidden);
    strips.product.draw(products, largestSize(products), isHidden);
    for (const { element: canvas } of [strips.key, strips.product]) canvas.style.height = `${ROW * shape[1]}px`;
    heads.query.textContent = say`query: ${nameOf(labels.queries, query)}`;
    heads.key.textContent = say`keys`;
    heads.product.textContent = say`query × key`;
    heads.sum.textContent = say`sum`;
    heads.score.textContent = say`score`;
    heads.weight.textContent = "softmax";
    column(sums, dots, short);
    column(scores, scored ?? dots, scored ? short : () => "?");
    column(weights, [...row], (weight) => weight.toPrecision(2));
    [...weights.children].forEach((each, key) => {
      each.style.setProperty("--share", `${100 * row[key] / (Math.max(...row) || 1)}%`);
      each.textContent = isHidden(key) ? say`hidden` : String(Number(row[key].toPrecision(2)));
    });
    const matched = matches(labels, shape, state.search);
    for (const [name, picker] of Object.entries(rendered.pickers)) {
      picker.find(matched[name]);
      picker.mark(name === "query" ? query : state.key, null);
    }
    rendered.pickers.key.hide(isHidden);
    show(null);
    if (moved) announce(readout.textContent);
  }

  // Tells about the key that is pointed at or chosen; otherwise about the one attended to most.
  function show(pointed) {
    if (!rendered) return;
    const { row, key: chosen, pickers } = rendered;
    const key = pointed?.key ?? chosen ?? row.indexOf(Math.max(...row));
    pickers.key.mark(chosen, pointed?.key ?? null);
    readout.textContent = describe(key, pointed?.feature ?? null);
    lists.replaceChildren(listFeatures(key));
  }

  function describe(key, feature) {
    const { labels, query, dots, scored, row, map, vector, vectors } = rendered;
    const [from, to] = [placed(labels.queries, query), placed(labels.keys, key)];
    if (feature !== null) {
      const [first, second] = [vector[feature], vectors[key][feature]];
      return say`${from} → ${to}: feature ${feature}, ${short(first)} × ${short(second)} = ${
        short(first * second)}`;
    }
    const weight = map.isHidden?.(query, key) ? say`hidden` : formatWeight(row[key], map.isExact(query, key));
    const dot = short(dots[key]);
    return sentences([scored
      ? say`${from} → ${to}: query · key = ${dot}, score ${short(scored[key])}, weight ${weight}.`
      : say`${from} → ${to}: query · key = ${dot}, weight ${weight}.`, remark()]);
  }

  function remark() {
    const { scale } = data.layers[rendered.layer].neurons;
    if (scale === null) {
      return say`The weights are not the softmax of query · key alone: a bias by position or another scale takes part.`;
    }
    return scale === 1 ? say`The weights are the softmax of query · key.`
      : say`The weights are the softmax of query · key × ${short(scale)}.`;
  }

  function listFeatures(key) {
    const { products, labels } = rendered;
    const product = products[key];
    const order = [...product.keys()].sort((a, b) => Math.abs(product[b]) - Math.abs(product[a])).slice(0, LISTED);
    const largest = Math.abs(product[order[0]]) || 1;
    return make("section", {}, make("h2", {}, say`Features that matter most to ${nameOf(labels.keys, key)}`),
      make("ol", {}, ...order.map((feature) => {
        const bar = make("span", { class: "bar" });
        bar.style.width = `${(100 * Math.abs(product[feature])) / largest}%`;
        bar.style.background = palette.named(product[feature] < 0 ? "wrong" : "right");
        return make("li", {}, make("span", { class: "name" }, say`feature ${feature}`),
          make("span", { class: "place" }), make("span", { class: "value" }, short(product[feature])), bar);
      })));
  }

  // Left and right choose another query, up and down another key.
  function keydown(event) {
    if (!rendered) return false;
    const name = /Up|Down/.test(event.key) ? "key" : "query";
    return rendered.pickers[name].step(event);
  }

  async function picture() {
    const frame = columns.getBoundingClientRect();
    const boxOf = (node) => {
      const { left, top, width, height } = node.getBoundingClientRect();
      return { x: left - frame.left, y: top - frame.top, width, height };
    };
    const images = await Promise.all(Object.values(strips).map(({ element: canvas }) => {
      const { x, y, width, height } = boxOf(canvas);
      return makeImage(canvas, [x, y], [width, height]);
    }));
    const texts = [...columns.querySelectorAll("h2, .numbers > *, [role=option]")].map((node) => {
      const { x, y, height } = boxOf(node);
      return makeSvg("text", { x: x + 2, y: y + height / 2, "dominant-baseline": "central",
        fill: palette.named("ink") }, node.textContent);
    });
    return makeSheet(palette, frame, ...images, ...texts);
  }

  function table() {
    if (!rendered) return [[say`key`]];
    const { labels, dots, scored, row } = rendered;
    return [[say`key`, say`query · key`, say`score`, say`weight`], ...dots.map((dot, key) =>
      [labels.keys?.[key] ?? key, dot, scored ? scored[key] : "", row[key]])];
  }

  return { element, render, keydown, picture, table, destroy() {} };
}
