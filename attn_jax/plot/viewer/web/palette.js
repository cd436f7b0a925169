// The colors of the plots in the current theme.

const parse = (hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));

// The luminance at which black and white text have the same contrast, 4.6 to 1.
const MIDDLE = 0.179;

function luminance(rgb) {
  const [r, g, b] = rgb.map((channel) => channel / 255)
    .map((fraction) => (fraction <= 0.04045 ? fraction / 12.92 : ((fraction + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function fromHsl(hue, saturation, light) {
  const strength = saturation * Math.min(light, 1 - light);
  return [0, 8, 4].map((offset) => {
    const place = (offset + hue / 30) % 12;
    return 255 * (light - strength * Math.max(-1, Math.min(place - 3, 9 - place, 1)));
  });
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

  /** The color of one of `count` heads, as dark, or in the dark theme as light, as its neighbors. */
  head(number, count) {
    const hue = (210 + (360 * number) / count) % 360;
    const aim = this.dark ? [0.5, 0.32][number % 2] : [0.13, 0.24][number % 2];
    let rgb = [0, 0, 0];
    for (let light = 0; light <= 1 && luminance(rgb) < aim; light += 0.02) {
      rgb = fromHsl(hue, 0.75, light);
    }
    return `#${rgb.map((channel) => Math.round(channel).toString(16).padStart(2, "0")).join("")}`;
  }

  /** The color of text over that of a head. */
  onHead(number) {
    return this.dark || number % 2 ? "#000000" : "#ffffff";
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
