// The text: point at a token to see what it attends to and what attends to it.

import { say } from "../language.js";
import { Picker } from "../picker.js";
import { createPair } from "./pair.js";

export const title = () => say`Tokens`;
export const isAvailable = (data) =>
  data.layers.some(({ labels }) => labels.queries !== null || labels.keys !== null);
export const uses = ["layer", "head", "search"];

/** Creates a Picker of tokens that reads like text. */
export function textSide(name, names, act, { palette }) {
  return new Picker({
    label: { query: say`Queries`, key: say`Keys` }[name],
    names,
    act,
    color: (fraction) => [palette.css(fraction), palette.textOn(fraction)],
  });
}

export const createView = (context) => createPair(context, { name: "tokens", side: textSide });
