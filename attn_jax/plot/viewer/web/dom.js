// Elements made without HTML, so that what a token says is only ever text.

/** Makes an element: properties that start with "on" listen, others are attributes. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Makes an SVG element. */
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

/** A token as one line that can be seen: blanks as "␣", control characters as escapes, cut. */
export function plain(label, longest = 24) {
  const head = String(label).slice(0, 4 * longest);
  let text = head.toWellFormed ? head.toWellFormed() : head;
  text = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u${character.codePointAt(0).toString(16).padStart(4, "0")}`);
  if (!text.trim()) text = "␣".repeat(Math.max(1, text.length));
  const characters = [...text];
  const cut = characters.length > longest || head.length < String(label).length;
  return cut ? `${characters.slice(0, longest - 1).join("")}…` : text;
}

/** What a query or key is called: its label, or its number. */
export function nameOf(labels, index) {
  return labels ? plain(labels[index]) : String(index);
}

/** A label and its place, or the place alone where there is no label. */
export function placed(labels, index) {
  return labels ? `${nameOf(labels, index)} (${index})` : String(index);
}

/** A weight as text: in as few digits as tell the number kept; "≈" where that was rounded. */
export function formatWeight(weight, exact) {
  if (!exact) return `≈ ${Number(weight.toPrecision(2))}`;
  let digits = 1;
  while (digits < 9 && Math.fround(Number(weight.toPrecision(digits))) !== weight) digits++;
  return String(Number(weight.toPrecision(digits)));
}
