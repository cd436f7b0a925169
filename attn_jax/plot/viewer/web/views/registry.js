// The views of the page, in the order of their tabs.
//
// A view's module has `title`, `isAvailable(data)` and `createView(context)`. The context is
// {data, store, palette, announce}: the data (decode.js), the state and its setter (`store.state`,
// `store.set({...})`), the colors, and a function that announces text to screen readers. The view is
// {element, render(state), destroy()}, and may have `keydown(event)`, which returns whether it
// handled the key; `picture()`, the view as an SVG element; and `table()`, its rows.

import * as matrix from "./matrix.js";
import * as tokens from "./tokens.js";
import * as overview from "./overview.js";
import * as image from "./image.js";
import * as alignment from "./alignment.js";
import * as compare from "./compare.js";
import * as summary from "./summary.js";

export const VIEWS = { matrix, tokens, overview, image, alignment, compare, summary };
