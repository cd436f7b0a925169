// All heads at once, as thumbnails; a click opens one.

import { make } from "../dom.js";

export const title = "Heads";
export const isAvailable = (data) => data.maps.length > 1;
export const uses = ["scale", "sort"];

const THUMB = 32;

export function createView({ data, store, palette }) {
  const grid = make("div", { class: "heads", role: "group", "aria-label": "Heads" });
  const cards = data.maps.map((map) => makeCard(map));
  let ordered = "";
  let painted = "";

  function makeCard(map) {
    const layer = data.layers[map.layer];
    const [rows, columns] = layer.shape.map((size) => Math.min(size, THUMB));
    const canvas = make("canvas", { width: columns, height: rows, "aria-hidden": "true" });
    const note = make("span", { class: "note" }, `${map.entropy.toFixed(2)} nats`);
    const name = `${layer.name}, head ${map.head}`;
    const element = make("button", {
      class: "head", title: `open ${name}`,
      onclick: () => store.set({ view: "matrix", layer: map.layer, head: map.head, zoom: null }) },
    canvas, make("span", { class: "name" }, name), note);
    return { map, canvas, note, element };
  }

  async function paint(card, scale) {
    card.cells ??= await card.map.thumb();
    const context = card.canvas.getContext("2d");
    const image = context.createImageData(card.canvas.width, card.canvas.height);
    card.cells.forEach((cell, i) => {
      const share = scale === "root" ? Math.sqrt(cell / 255) : cell / 255;
      image.data.set([...palette.rgb(share), 255], 4 * i);
    });
    context.putImageData(image, 0, 0);
  }

  function order({ sort }) {
    const indices = [...cards.keys()];
    if (sort === "entropy") {
      return indices.sort((a, b) => data.maps[a].entropy - data.maps[b].entropy);
    }
    const measure = data.measures[sort.replace(/^measure:/, "")];
    return measure ? indices.sort((a, b) => measure[b] - measure[a]) : indices;
  }

  return {
    element: grid,

    async render(state) {
      if (ordered !== state.sort) {
        const measure = data.measures[state.sort.replace(/^measure:/, "")];
        grid.replaceChildren(...order(state).map((index) => cards[index].element));
        cards.forEach(({ map, note }, i) => (note.textContent = measure
          ? String(Number(measure[i].toPrecision(4))) : `${map.entropy.toFixed(2)} nats`));
        ordered = state.sort;
      }
      cards.forEach(({ map, element }) => element.setAttribute("aria-current",
        map.layer === state.layer && map.head === state.head));
      const wanted = `${state.scale},${palette.dark}`;
      if (painted !== wanted) await Promise.all(cards.map((card) => paint(card, state.scale)));
      painted = wanted;
    },

    table() {
      const names = Object.keys(data.measures);
      const rows = order(store.state).map((index) => {
        const { layer, head, entropy } = data.maps[index];
        return [data.layers[layer].name, head, entropy, ...names.map((n) => data.measures[n][index])];
      });
      return [["layer", "head", "entropy", ...names], ...rows];
    },

    destroy() {},
  };
}
