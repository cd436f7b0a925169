// The kinds of attention in a model, by the names of its layers, and short names of layers.

import { say } from "./language.js";

const PARTS = ["encoder", "decoder", "text", "vision"];

/** Returns "encoder", "decoder", "cross" and so on, or "" for a layer of a model with one stack. */
export function kindOf({ name }) {
  if (/cross/i.test(name)) return "cross";
  return PARTS.find((part) => name.startsWith(part)) ?? "";
}

const NAMES = { "": () => say`self`, cross: () => say`cross`, encoder: () => say`encoder`,
  decoder: () => say`decoder`, text: () => say`text`, vision: () => say`vision` };

/** Returns the name of a kind. */
export const kindName = (kind) => NAMES[kind]();

/** Returns the kinds of several layers, in their order. */
export const kindsOf = (layers) => [...new Set(layers.map(kindOf))];

/** Returns the numbers of layers whose names differ only by them; otherwise the names. */
export function shortNames(names) {
  const parts = names.map((name) => /^(.*?)(\d+)(.*)$/.exec(name));
  const alike = parts.every((part) => part && part[1] === parts[0][1] && part[3] === parts[0][3]);
  if (alike) return parts.map((part) => part[2]);
  return names.map((name) => name.replace(/\.weights$/, ""));
}
