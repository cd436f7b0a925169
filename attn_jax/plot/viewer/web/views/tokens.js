// The text itself: point at a token, and see where it looks and who looks at it.

import { Picker } from "../picker.js";
import { createPair } from "./pair.js";

export const title = "Tokens";
export const isAvailable = (data) =>
  data.layers.some(({ labels }) => labels.queries !== null || labels.keys !== null);
export const uses = ["layer", "head", "search"];

/** Items that look like a text, or like a column of one. */
export function textSide(name, names, act, { palette }) {
  return new Picker({
    label: { query: "Queries", key: "Keys" }[name],
    names,
    act,
    color: (share) => [palette.css(share), palette.textOn(share)],
  });
}

export const createView = (context) => createPair(context, { name: "tokens", side: textSide });
