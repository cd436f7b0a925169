// Starts the page: opens the data, restores the state and shows its view.

import { createText } from "./astext.js";
import { createCard } from "./card.js";
import { createControls } from "./controls.js";
import { openData } from "./decode.js";
import { make, plain } from "./dom.js";
import { hearLanguage, learn, speak } from "./language.js";
import { Palette } from "./palette.js";
import { reportHeight } from "./sizing.js";
import { clampState, Store } from "./state.js";
import { VIEWS } from "./views/registry.js";

const ANNOUNCE_AFTER = 250;
// Tokens of an example in its name.
const BEGINNING = 6;
// In a notebook, the page has no address of its own.
const hasAddress = location.protocol !== "about:";

function start() {
  const payload = JSON.parse(document.getElementById("payload").textContent);
  learn(payload.cardWords);
  const { kind, names, others } = payload.pages;
  const pages = [payload, ...others].map((each) => openData(each, (blob) =>
    document.getElementById(`blob-${each.firstBlob + blob}`).textContent, names.length));
  const palette = new Palette(payload.palette);
  const available = Object.keys(VIEWS).filter((name) => VIEWS[name].isAvailable(pages[0]));
  const oneHead = available.filter((name) => VIEWS[name].oneHead);
  const store = new Store(payload.state, hasAddress ? location.hash : "",
    (state) => clampState(state, pages, available, oneHead));

  const live = make("p", { class: "visually-hidden", role: "status", "aria-live": "polite" });
  // The data of the page shown.
  const data = { ...pages[store.state.page] };
  const context = { store, palette, announce: announcer(live) };
  const heading = make("h2", { class: "visually-hidden" });
  const panel = make("div", { id: "view", role: "tabpanel", tabindex: "-1" });
  const views = new Map();
  const nameOf = ({ view, page }) => `${page}:${view}`;
  const current = () => views.get(nameOf(store.state));
  let [controls, text, language] = [null, null, null];

  // Everything that has words is made again in another language.
  function translate(chosen) {
    const wasOpen = text?.element.open;
    const wasFocused = controls?.language.contains(document.activeElement);
    controls?.stop();
    for (const view of views.values()) view.destroy();
    views.clear();
    language = chosen;
    speak(language);
    controls = createControls({ ...context, data, views: VIEWS, available, current,
      pages: { kind, names: names.map((name, i) => entitled(name, pages[i], kind)) } });
    text = createText();
    text.element.open = Boolean(wasOpen);
    document.getElementById("app").replaceChildren(
      controls.header, make("main", {}, heading, controls.toolbar, panel, text.element,
        createCard(payload.card)), controls.footer, live);
    if (wasFocused) controls.language.querySelector("select").focus();
  }

  async function show(state) {
    palette.use(state.theme);
    Object.assign(data, pages[state.page]);
    if (language !== state.language) translate(state.language);
    if (!views.has(nameOf(state))) {
      views.set(nameOf(state), VIEWS[state.view].createView({ ...context, data: pages[state.page] }));
    }
    const { element } = current();
    if (panel.firstChild !== element) panel.replaceChildren(element);
    heading.textContent = VIEWS[state.view].title();
    panel.setAttribute("aria-labelledby", `tab-${state.view}`);
    controls.render(state);
    if (hasAddress) history.replaceState(null, "", `#${store.fragment}`);
    // Views measure the room they have: the still picture, for places without scripts, gives way.
    document.documentElement.dataset.started = "";
    await current().render(state);
    if (state !== store.state) return;
    text.render(current());
    document.documentElement.dataset.ready = state.view;
  }

  store.subscribe(show);
  const again = () => show(store.state);
  palette.media.addEventListener("change", again);
  addEventListener("resize", again);
  hearLanguage((chosen) => store.set({ language: chosen }));
  addEventListener("hashchange", () => store.goTo(location.hash));
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return;
    const handled = (isFree(event) && current().keydown?.(event)) || controls.keydown(event);
    if (handled) event.preventDefault();
  });
  show(store.state);
}

// Whether no part of the page needs the key for itself, such as the arrows of a select.
const isFree = ({ target, ctrlKey, metaKey, altKey }) => !(ctrlKey || metaKey || altKey)
  && !target.closest?.("input, select, textarea, dialog, [role=tab], .scroll");

// The name of an example with the beginning of its text.
function entitled(name, { layers }, kind) {
  const tokens = kind === "example" ? layers[0]?.labels.queries : null;
  return tokens ? plain(`${name}: ${tokens.slice(0, BEGINNING).join(" ")}`, BEGINNING * 5) : name;
}

/** Announces only the last of several texts in quick succession. */
function announcer(live) {
  let timer = 0;
  return (text) => {
    clearTimeout(timer);
    timer = setTimeout(() => (live.textContent = text), ANNOUNCE_AFTER);
  };
}

reportHeight();
start();
