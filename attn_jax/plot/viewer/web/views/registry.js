// The views of the page, in the order of their tabs.
//
// A view's module has `title`, `isAvailable(data)` and `createView(context)`; it may have `uses`, the
// controls that it follows, and `oneHead`, where a mean of heads has no meaning. The context is
// {data, store, palette, announce}: the data (decode.js), the state and its setter (`store.state`,
// `store.set({...})`), the colors, and a function that announces text to screen readers. The view is
// {element, render(state), destroy()}, and may have `keydown(event)`, which returns whether it
// handled the key; `picture()`, the view as an SVG element; and `table()`, its rows.

import * as matrix from "./matrix.js";
import * as tokens from "./tokens.js";
import * as heads from "./heads.js";
import * as overview from "./overview.js";
import * as neuron from "./neuron.js";
import * as image from "./image.js";
import * as alignment from "./alignment.js";
import * as compare from "./compare.js";
import * as summary from "./summary.js";

export const VIEWS = { matrix, tokens, heads, overview, neuron, image, alignment, compare, summary };
