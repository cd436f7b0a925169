// Things of which one is picked: the tokens of a text, the patches of an image. The list is one stop
// of the Tab key and the arrow keys move inside it; pointing at an item only previews it.

import { make } from "./dom.js";

/**
 * A list of items. `act` takes {pick, point}, each given an item's number, `point` also null;
 * `color(share, index)` gives [background, text]; `first` is the first item that counts when
 * shares of the largest weight are taken; `arrange(items)` lays the items out.
 */
export class Picker {
  constructor({ label, names, texts = names, columns = 1, first = 0, color, act, arrange }) {
    Object.assign(this, { columns, first, color, act, picked: 0 });
    this.items = names.map((name, index) => make("div", {
      role: "option", tabindex: "-1", "data-index": index,
      "aria-label": name === texts[index] ? null : name }, texts[index]));
    this.element = make("div", {
      class: "picker", role: "listbox", "aria-label": label,
      onclick: (event) => this.pointed(event, act.pick),
      onpointerover: (event) => this.pointed(event, act.point),
      onpointerleave: () => act.point(null),
      onkeydown: (event) => this.step(event),
    }, ...(arrange ? arrange(this.items) : this.items));
    this.mark(null, null);
  }

  pointed(event, tell) {
    const item = event.target.closest("[role=option]");
    if (item) tell(Number(item.dataset.index));
  }

  step(event) {
    const by = event.shiftKey ? 10 : 1;
    const to = {
      ArrowRight: this.picked + by, ArrowLeft: this.picked - by,
      ArrowDown: this.picked + by * this.columns, ArrowUp: this.picked - by * this.columns,
      Home: 0, End: this.items.length - 1, Enter: this.picked, " ": this.picked,
    }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    const index = Math.max(0, Math.min(to, this.items.length - 1));
    this.act.point(null);
    this.act.pick(index);
    this.items[index].focus();
  }

  /** Shows which item is picked and which is pointed at, or, by null, that none is. */
  mark(picked, pointed) {
    this.items[this.picked].tabIndex = -1;
    this.picked = picked ?? 0;
    this.items[this.picked].tabIndex = 0;
    this.items.forEach((item, index) => {
      item.setAttribute("aria-selected", String(index === picked));
      item.classList.toggle("pointed", index === pointed);
    });
  }

  /** Colors the items by their weights, or takes the colors away. */
  paint(weights) {
    const most = weights && (weights.slice(this.first).reduce((a, b) => Math.max(a, b), 0) || 1);
    this.items.forEach((item, index) => {
      const [background, text] = weights ? this.color(Math.min(1, weights[index] / most), index) : ["", ""];
      item.style.background = background;
      item.style.color = text;
    });
  }

  find(indices) {
    this.items.forEach((item, index) => item.classList.toggle("sought", indices.has(index)));
  }
}
