// Starts the page: opens the data, restores the state and shows its view.

import { createCard } from "./card.js";
import { createControls } from "./controls.js";
import { openData } from "./decode.js";
import { make } from "./dom.js";
import { Palette } from "./palette.js";
import { clampState, Store } from "./state.js";
import { VIEWS } from "./views/registry.js";

const ANNOUNCE_AFTER = 250;
// In a notebook, the page has no address of its own.
const hasAddress = location.protocol !== "about:";

function start() {
  const payload = JSON.parse(document.getElementById("payload").textContent);
  const data = openData(payload, (blob) => document.getElementById(`blob-${blob}`).textContent);
  const palette = new Palette(payload.palette);
  const available = Object.keys(VIEWS).filter((name) => VIEWS[name].isAvailable(data));
  const store = new Store(payload.state, hasAddress ? location.hash : "",
    (state) => clampState(state, data, available));

  const live = make("p", { class: "visually-hidden", role: "status", "aria-live": "polite" });
  const context = { data, store, palette, announce: announcer(live) };
  const heading = make("h2", { class: "visually-hidden" });
  const panel = make("div", { id: "view", role: "tabpanel", tabindex: "-1" });
  const views = new Map();
  const current = () => views.get(store.state.view);
  const controls = createControls({ ...context, views: VIEWS, available, current });

  async function show(state) {
    palette.use(state.theme);
    if (!views.has(state.view)) views.set(state.view, VIEWS[state.view].createView(context));
    const { element } = current();
    if (panel.firstChild !== element) panel.replaceChildren(element);
    heading.textContent = VIEWS[state.view].title;
    panel.setAttribute("aria-labelledby", `tab-${state.view}`);
    controls.render(state);
    if (hasAddress) history.replaceState(null, "", `#${store.fragment}`);
    await current().render(state);
    document.documentElement.dataset.ready = state.view;
  }

  document.getElementById("app").append(
    controls.header, make("main", {}, heading, controls.toolbar, panel, createCard(payload.card)), controls.footer, live);
  store.subscribe(show);
  const again = () => show(store.state);
  palette.media.addEventListener("change", again);
  addEventListener("resize", again);
  addEventListener("hashchange", () => store.goTo(location.hash));
  document.addEventListener("keydown", (event) => {
    if (current().keydown?.(event) || controls.keydown(event)) event.preventDefault();
  });
  show(store.state);
}

/** Announces only the last of several texts in quick succession. */
function announcer(live) {
  let timer = 0;
  return (text) => {
    clearTimeout(timer);
    timer = setTimeout(() => (live.textContent = text), ANNOUNCE_AFTER);
  };
}

start();
