// Elements created without parsing HTML, so that tokens are only ever text.

/** Creates an element: properties that start with "on" are listeners, others attributes. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Creates an SVG element. */
export function makeSvg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * Returns a token as a visible line: spaces as "␣", line breaks as "↵", control characters as escapes,
 * shortened. Joiners stay where they shape a letter or an emoji, which are never cut apart.
 */
export function plain(label, maxLength = 24) {
  const text = String(label);
  if (text.length <= maxLength && /^[!-~]+$/.test(text)) return text;
  const head = text.slice(0, 16 * maxLength);
  const parts = [...GRAPHEMES.segment(head.toWellFormed ? head.toWellFormed() : head)]
    .map(({ segment }) => visible(segment));
  if (!parts.join("").trim()) return "␣".repeat(Math.max(1, Math.min(parts.length, maxLength)));
  const cut = parts.length > maxLength || head.length < text.length;
  return cut ? `${parts.slice(0, maxLength - 1).join("")}…` : parts.join("");
}

const GRAPHEMES = new Intl.Segmenter();
const SIGNS = { "\n": "↵", "\t": "⇥" };

// Within one grapheme, what cannot be seen by itself may change what can.
function visible(grapheme) {
  if (SIGNS[grapheme]) return SIGNS[grapheme];
  if (/^\P{C}.*\P{Cc}$/su.test(grapheme) && !/^[ -~]/.test(grapheme)) return grapheme;
  return grapheme.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    `\\u${character.codePointAt(0).toString(16).padStart(4, "0")}`);
}

/** Returns the name of a query or key: its label, or its index. */
export function nameOf(labels, index) {
  return labels ? plain(labels[index]) : String(index);
}

/** Returns a label with its index, or only the index without labels. */
export function placed(labels, index) {
  return labels ? `${nameOf(labels, index)} (${index})` : String(index);
}

/** Returns a weight as text, in as few digits as identify it; with "≈" if it was rounded. */
export function formatWeight(weight, exact) {
  if (!exact) return `≈ ${Number(weight.toPrecision(2))}`;
  let digits = 1;
  while (digits < 9 && Math.fround(Number(weight.toPrecision(digits))) !== weight) digits++;
  return String(Number(weight.toPrecision(digits)));
}

/** Returns a number with a fixed number of decimals; what rounds to zero has no sign. */
export function fixed(value, decimals) {
  const text = value.toFixed(decimals);
  return Number(text) === 0 ? (0).toFixed(decimals) : text;
}
