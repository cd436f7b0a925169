// A list to pick from: the tokens of a text, or the patches of an image. The list is one tab stop,
// and the arrow keys move inside it; pointing at an item only previews it.

import { make } from "./dom.js";

/**
 * A list of items. `act` has callbacks {pick, point} that take an item's index; `point` also takes null;
 * `color(fraction, index)` returns [background, text]; fractions are of the largest weight from
 * item `first` on; `arrange(items)` lays out the items.
 */
export class Picker {
  constructor({ label, names, texts = names, columns = 1, first = 0, color, act, arrange }) {
    Object.assign(this, { columns, first, color, act, picked: 0 });
    this.marked = { picked: null, pointed: null };
    this.hides = false;
    this.items = names.map((name, index) => make("div", {
      role: "option", tabindex: "-1", "data-index": index, "aria-selected": "false",
      "aria-label": name === texts[index] ? null : name }, texts[index]));
    this.element = make("div", {
      class: "picker", role: "listbox", "aria-label": label,
      onclick: (event) => this.pointed(event, act.pick),
      onpointerover: (event) => this.pointed(event, act.point),
      onpointerleave: () => act.point(null),
      onkeydown: (event) => this.step(event) && event.stopPropagation(),
    }, ...(arrange ? arrange(this.items) : this.items));
    this.mark(null, null);
  }

  pointed(event, callback) {
    const item = event.target.closest("[role=option]");
    if (item) callback(Number(item.dataset.index));
  }

  /** Moves to the item that a key leads to; returns whether there is one. */
  step(event) {
    const by = event.shiftKey ? 10 : 1;
    const target = {
      ArrowRight: this.picked + by, ArrowLeft: this.picked - by,
      ArrowDown: this.picked + by * this.columns, ArrowUp: this.picked - by * this.columns,
      Home: 0, End: this.items.length - 1,
      ...(this.element.contains(event.target) ? { Enter: this.picked, " ": this.picked } : {}),
    }[event.key];
    if (target === undefined || event.altKey || event.ctrlKey || event.metaKey) return false;
    event.preventDefault();
    const index = Math.max(0, Math.min(target, this.items.length - 1));
    this.act.point(null);
    this.act.pick(index);
    this.items[index].focus();
    return true;
  }

  /** Marks the item that is picked and the one that is pointed at; null for none. */
  mark(picked, pointed) {
    this.items[this.picked].tabIndex = -1;
    this.picked = picked ?? 0;
    this.items[this.picked].tabIndex = 0;
    // Only the items that change, as a style for each of many items takes most of the time.
    const change = (name, index, apply) => {
      if (this.marked[name] === index) return;
      for (const [place, isMarked] of [[this.marked[name], false], [index, true]]) {
        if (place !== null) apply(this.items[place], isMarked);
      }
      this.marked[name] = index;
    };
    change("picked", picked, (item, isMarked) => item.setAttribute("aria-selected", String(isMarked)));
    change("pointed", pointed, (item, isMarked) => item.classList.toggle("pointed", isMarked));
  }

  /** Colors the items by their weights, or removes the colors. */
  paint(weights) {
    const largest = weights && (weights.slice(this.first).reduce((a, b) => Math.max(a, b), 0) || 1);
    this.items.forEach((item, index) => {
      const [background, text] = weights ? this.color(Math.min(1, weights[index] / largest), index) : ["", ""];
      item.style.background = background;
      item.style.color = text;
    });
  }

  /** Marks the items that `isHidden(index)` tells, or none without it. */
  hide(isHidden) {
    if (!isHidden && !this.hides) return;
    this.hides = Boolean(isHidden);
    this.items.forEach((item, index) => item.classList.toggle("hidden", Boolean(isHidden?.(index))));
  }

  find(indices) {
    this.items.forEach((item, index) => item.classList.toggle("match", indices.has(index)));
  }
}
