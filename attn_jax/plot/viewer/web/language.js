// The words of the page in its reader's language: English as the modules write it, or Chinese.

import { CHINESE } from "./words.js";

/** Each language by its name in itself. */
export const LANGUAGES = { en: "English", zh: "中文" };
const TAGS = { en: "en", zh: "zh-Hans" };
const WORDS = { en: {}, zh: CHINESE };
const COMMAS = { en: ", ", zh: "，" };
const SPACES = { en: " ", zh: "" };
let current = "en";

/** Sets the language of all words to come. */
export function speak(language) {
  current = language;
  document.documentElement.lang = TAGS[language];
}

/** Takes Chinese for the texts of the page's report card, by the English. */
export const learn = (words) => Object.assign(CHINESE, words);

/** Returns an English text in the language of the page, if it is known there. */
export const translated = (text) => (Object.hasOwn(WORDS[current], text) ? WORDS[current][text] : text);

/** Tags a template: its text in the language of the page, with each value in its place. */
export function say(texts, ...values) {
  const key = texts.reduce((all, text, i) => `${all}{${i - 1}}${text}`);
  return translated(key).replace(/\{(\d)\}/g, (_, i) => values[i]);
}

export const list = (items) => items.join(COMMAS[current]);

export const sentences = (parts) => parts.filter(Boolean).join(SPACES[current]);

const NAMES = { "this run": () => say`this run`, "other run": () => say`other run`, entropy: () => say`entropy`, "previous token": () => say`previous token`,
  "first token": () => say`first token`, induction: () => say`induction` };

/** Returns the name of a score or a run; one that the page was given keeps its own. */
export const nameInPage = (name) => (Object.hasOwn(NAMES, name) ? NAMES[name]() : name);

const AXES = { layers: () => say`layers`, batch: () => say`batch`, heads: () => say`heads`,
  queries: () => say`queries`, keys: () => say`keys` };

/** Returns how an array was read; a remark at its end stays as it is. */
export function reading(text) {
  const [, start, rest] = /^([^(;]*)(.*)$/s.exec(text);
  return start.replace(/layer (\d+) of (\d+), /, (_, layer, count) => say`layer ${layer} of ${count}, `)
    .replace(/, example (\d+)/, (_, example) => say`, example ${example}`)
    .replace(/layers|batch|heads|queries|keys/g, (axis) => AXES[axis]()) + rest;
}

/** Calls `act` with the language that a page around this one asks for. */
export function hearLanguage(act) {
  addEventListener("message", ({ source, data }) => {
    if (source === parent && Object.hasOwn(LANGUAGES, data?.attentionLanguage)) {
      act(data.attentionLanguage);
    }
  });
}
