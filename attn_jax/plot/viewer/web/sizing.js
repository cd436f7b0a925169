// The height of a page in a frame, which the page around it cannot measure.

const FRAME_HEIGHT = 704;
export const isFramed = parent !== window;

/** Height to lay out for: in a frame it must not depend on the frame's, which follows the page's. */
export const roomHeight = () =>
  (isFramed ? Math.min(FRAME_HEIGHT, screen.availHeight || FRAME_HEIGHT) : innerHeight);

/** Tells the page around the frame how high this one is, whenever that changes. */
export function reportHeight() {
  if (!isFramed) return;
  document.documentElement.dataset.framed = "";
  let reported = 0;
  new ResizeObserver(() => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    if (height === reported) return;
    reported = height;
    parent.postMessage({ attentionHeight: height }, "*");
  }).observe(document.body);
}
