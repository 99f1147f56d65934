// What the page's parts are made of, and how long work is kept from holding the page up.

/**
 * An element with properties and children. Text goes in as text, never as markup.
 * @param {string} tag
 * @param {Record<string, unknown>} [properties]
 * @param {(Node | string)[]} children
 * @returns {HTMLElement}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, String(value));
    else Object.assign(made, { [name]: value });
  }
  made.append(...children);
  return made;
}

/** Whether the page is dark: as the reader said, else as the system is. */
export function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Milliseconds that work may go on before the page gets a chance to answer. */
const SLICE = 20;

/** Long work in slices: `await slices.rest()` returns at once until a slice is used up. */
export class Slices {
  constructor() {
    this.begun = performance.now();
  }

  get isUsedUp() {
    return performance.now() - this.begun > SLICE;
  }

  /** Lets the page answer. */
  async rest() {
    await new Promise((go) => setTimeout(go));
    this.begun = performance.now();
  }
}

/**
 * The element with an id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return found;
}

/**
 * A shape of a drawing.
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {string} [text]
 */
export function shape(tag, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.textContent = text;
  return made;
}

/**
 * A group of buttons of which one is chosen.
 * @param {HTMLElement} group
 * @param {readonly (readonly [id: string, title: string, hint?: string])[]} options
 * @param {(id: string) => void} onChange
 */
export function choices(group, options, onChange) {
  group.hidden = false;
  group.replaceChildren(
    ...options.map(([id, title, hint = ""]) =>
      element("button", { id: `${group.id}-${id}`, type: "button", title: hint, onclick: () => onChange(id) }, title)
    ),
  );
}

/**
 * Shows which of a group's buttons is chosen.
 * @param {HTMLElement} group
 * @param {string} id
 */
export function press(group, id) {
  for (const button of group.children) button.setAttribute("aria-pressed", String(button.id === `${group.id}-${id}`));
}
