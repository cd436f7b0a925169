// The parts of a toolbar: selects with a label, and buttons that play through their options.

import { make } from "./dom.js";

const PLAY_STEP = 900;

/** A labeled select whose options are [value, text] pairs. */
export function picker(name, act) {
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

/** A button that calls `next` again and again until it is pressed once more, or `stop` is called. */
export function player(name, next) {
  let timer = 0;
  const button = make("button", { class: "play", "aria-pressed": "false", title: name,
    "aria-label": name, onclick: () => (timer ? stop() : play()) }, "▶");
  const show = () => {
    button.setAttribute("aria-pressed", String(Boolean(timer)));
    button.textContent = timer ? "❚❚" : "▶";
  };
  function play() {
    next();
    timer = setInterval(next, PLAY_STEP);
    show();
  }
  function stop() {
    clearInterval(timer);
    timer = 0;
    show();
  }
  return { element: button, stop };
}
