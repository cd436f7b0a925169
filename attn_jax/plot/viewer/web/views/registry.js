// The views of the page, in the order of their tabs.
//
// A view's module has `title`, `isAvailable(data)` and `createView(context)`. The context is
// {data, store, palette, announce}: what there is to see (decode.js), the state and how to change
// it (`store.state`, `store.set({...})`), the colors, and a function that reads a text to whoever
// cannot see. The view is {element, render(state), destroy()}, and may have `keydown(event)`, true
// if the key was its own; `picture()`, what is seen as an SVG element; and `table()`, rows of it.

import * as matrix from "./matrix.js";
import * as tokens from "./tokens.js";
import * as overview from "./overview.js";
import * as image from "./image.js";
import * as alignment from "./alignment.js";
import * as compare from "./compare.js";
import * as summary from "./summary.js";

export const VIEWS = { matrix, tokens, overview, image, alignment, compare, summary };
