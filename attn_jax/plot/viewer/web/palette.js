// The colors of the plots, for whichever theme is seen.

const parse = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

// The luminance on which black and white text have the same contrast, 4.6 to 1.
const MIDDLE = 0.179;

function luminance(rgb) {
  const [r, g, b] = rgb.map((channel) => channel / 255)
    .map((share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

export class Palette {
  constructor(colors) {
    this.colors = colors;
    this.ramps = { light: colors.light.map(parse), dark: colors.dark.map(parse) };
    this.media = matchMedia("(prefers-color-scheme: dark)");
    this.dark = false;
  }

  /** Follows the state's theme: "light", "dark", or "auto" for the reader's own. */
  use(theme) {
    this.dark = theme === "dark" || (theme === "auto" && this.media.matches);
    this.ramp = this.ramps[this.dark ? "dark" : "light"];
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }

  /** [red, green, blue] of a share from 0 to 1. */
  rgb(share) {
    return this.ramp[Math.max(0, Math.min(255, Math.round(share * 255)))];
  }

  css(share) {
    return `rgb(${this.rgb(share).join(" ")})`;
  }

  /** The color of text over `css(share)`. */
  textOn(share) {
    return luminance(this.rgb(share)) > MIDDLE ? "#000000" : "#ffffff";
  }

  /** [red, green, blue, alpha from 0 to 1] of a share laid over a gray image. */
  overlay(share) {
    const [r, g, b, a] = this.colors.overlay[Math.max(0, Math.min(255, Math.round(share * 255)))];
    return [r * 255, g * 255, b * 255, a];
  }

  /** One of the colors that tell categories apart. */
  series(number) {
    return this.colors.series[number % this.colors.series.length];
  }

  /** A color of the style sheet: ink, muted, rule, paper, right, wrong or truth. */
  named(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  /** The same as [red, green, blue]. */
  parsed(name) {
    return parse(this.named(name));
  }
}
