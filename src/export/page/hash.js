// The state of the view in the address, so that a link opens the same view again.

/**
 * What the reader has chosen. `zoom` are numbers of functions from the outermost on, `fn` the function whose callers are
 * shown, `path` the call path whose stack is, `span` the moment that is looked at or two (moments.js), `rss` and `parts` whether the resident set and what is live by function are drawn.
 * @typedef {{ view: string, code: string, dir: string, run: string, q: string, tab: string, sort: string, zoom: string,
 *   fn: string, path: string, span: string, rss: string, parts: string }} ViewState
 */

/**
 * The state in the address; what it does not have is as in `defaults`.
 * @param {ViewState} defaults
 * @returns {ViewState}
 */
export function readState(defaults) {
  const state = { ...defaults };
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of /** @type {(keyof ViewState)[]} */ (Object.keys(defaults))) {
    state[name] = given.get(name) ?? defaults[name];
  }
  return state;
}

/**
 * Puts what differs from `defaults` into the address.
 * @param {ViewState} state
 * @param {ViewState} defaults
 */
export function writeState(state, defaults) {
  const changed = Object.entries(state).filter(([name, value]) => value !== defaults[/** @type {"view"} */ (name)]);
  const text = new URLSearchParams(changed).toString();
  if (text !== location.hash.slice(1)) history.replaceState(null, "", text ? `#${text}` : location.pathname);
}
