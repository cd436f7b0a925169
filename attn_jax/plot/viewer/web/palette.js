// The colors of the plots in the current theme.

const parse = (hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));

// The luminance at which black and white text have the same contrast, 4.6 to 1.
const MIDDLE = 0.179;

function luminance(rgb) {
  const [r, g, b] = rgb.map((channel) => channel / 255)
    .map((fraction) => (fraction <= 0.04045 ? fraction / 12.92 : ((fraction + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

export class Palette {
  constructor(colors) {
    this.colors = colors;
    this.ramps = { light: colors.light.map(parse), dark: colors.dark.map(parse) };
    this.media = matchMedia("(prefers-color-scheme: dark)");
    this.dark = false;
  }

  /** Follows the state's theme: "light", "dark", or "auto" for that of the system. */
  use(theme) {
    this.dark = theme === "dark" || (theme === "auto" && this.media.matches);
    this.ramp = this.ramps[this.dark ? "dark" : "light"];
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }

  /** [red, green, blue] of a fraction from 0 to 1. */
  rgb(fraction) {
    return this.ramp[Math.max(0, Math.min(255, Math.round(fraction * 255)))];
  }

  css(fraction) {
    return `rgb(${this.rgb(fraction).join(" ")})`;
  }

  /** The color of text over `css(fraction)`. */
  textOn(fraction) {
    return luminance(this.rgb(fraction)) > MIDDLE ? "#000000" : "#ffffff";
  }

  /** [red, green, blue, alpha from 0 to 1] of a fraction, over a gray image. */
  overlay(fraction) {
    const [r, g, b, a] = this.colors.overlay[Math.max(0, Math.min(255, Math.round(fraction * 255)))];
    return [r * 255, g * 255, b * 255, a];
  }

  /** A categorical color. */
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
