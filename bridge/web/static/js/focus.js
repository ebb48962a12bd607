// The reader's place: when what has the focus goes away – a notice, a dialog, a row – the focus goes to what is nearest to it,
// and not to the beginning of the page, where a keyboard or a screen reader would have to start over.

/** What has the focus, and all that it stands in, from the inside out. @type {Element[]} */
let trail = [];
/** What had it before the reader went to the notices. @type {Element[]} */
let beforeNotices = [];

/** @param {EventTarget | null} target @returns {Element[]} */
function trailOf(target) {
  const found = [];
  for (let at = target instanceof Element ? target : null; at && at !== document.body; at = at.parentElement)
    found.push(at);
  return found;
}

/** Where the reader is, for `returnTo`. */
export const whereabouts = () => trailOf(document.activeElement);

/** @param {Element | undefined} element */
const canHave = (element) =>
  element instanceof HTMLElement && element.isConnected && !element.matches(":disabled") && element.offsetParent !== null;

/** Give the focus to the first of the trail, or to what is nearest to where that was. @param {Element[]} there */
export function returnTo(there) {
  const [element] = there;
  if (canHave(element)) return give(element);
  const near = there.find((one) => one.isConnected);
  const notice = near?.closest(".notices");
  if (notice) {
    const next = notice.querySelector("button");
    return next ? give(next) : returnTo(beforeNotices);
  }
  const dialog = near?.closest("dialog");
  if (dialog) return give(dialog.querySelector("button"));
  const section = near?.closest("section[aria-labelledby]");
  const heading = section && document.getElementById(section.getAttribute("aria-labelledby") ?? "");
  return give(heading ?? document.querySelector("main h1") ?? document.getElementById("main"));
}

/** @param {Element | null | undefined} element */
function give(element) {
  if (!(element instanceof HTMLElement)) return;
  if (element.tabIndex < 0) element.tabIndex = -1; // a heading takes the focus only when it is given
  element.focus();
}

/** @param {Element[]} next */
function remember(next) {
  if (isInNotices(next) && !isInNotices(trail)) beforeNotices = trail;
  trail = next;
}

/** @param {Element[]} there */
const isInNotices = (there) => there.some((one) => one.matches(".notices"));

/** Begin to look after the reader's place. */
export function keepFocus() {
  document.addEventListener("focusin", (event) => remember(trailOf(event.target)));
  // Who points at nothing in particular has left the place himself.
  document.addEventListener("pointerup", () => remember(whereabouts()));
  new MutationObserver(() => {
    if (trail.length === 0 || (document.activeElement ?? document.body) !== document.body || canHave(trail[0])) return;
    returnTo(trail);
    if ((document.activeElement ?? document.body) === document.body) trail = []; // nothing took it
  }).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["disabled"] });
}
