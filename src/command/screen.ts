/** A terminal that a view has to itself: its lines, its keys, and that it is as it was afterwards, whatever happens. */
import {
  cursorHide,
  cursorShow,
  cursorTo,
  enterAlternativeScreen,
  eraseEndLine,
  eraseScreen,
  exitAlternativeScreen,
} from "ansi-escapes";
import process from "node:process";
import type { Line, Size, Style } from "../live/view.ts";
import { inLocale } from "../report/signs.ts";
import { looks } from "./terminal.ts";

/** Buttons and the wheel of the mouse, told in characters that have no limit of columns. */
const MOUSE_ON = "\x1b[?1000h\x1b[?1006h", MOUSE_OFF = "\x1b[?1006l\x1b[?1000l";
/** Whether what is longer than a line goes on in the next: characters may take two columns, and then the terminal cuts. */
const WRAP_ON = "\x1b[?7h", WRAP_OFF = "\x1b[?7l";

const STYLES: Readonly<Record<Style, string>> = {
  strong: "1",
  dim: "2",
  head: "7",
  selected: "1;7",
  grows: "33",
  alarm: "1;31",
};
/** Those that are no colour. */
const COLOURLESS: Readonly<Partial<Record<Style, string>>> = { grows: "", alarm: "1" };

/** What terminals send for keys that are no characters, behind an escape. */
const SEQUENCES: Readonly<Record<string, string>> = {
  ...{ "[A": "up", "[B": "down", "[C": "right", "[D": "left", OA: "up", OB: "down", OC: "right", OD: "left" },
  ...{ "[H": "home", "[F": "end", OH: "home", OF: "end", "[1~": "home", "[4~": "end", "[7~": "home", "[8~": "end" },
  ...{ "[5~": "pageup", "[6~": "pagedown", "[Z": "shift-tab" },
};
const CONTROLS: Readonly<Record<string, string>> = {
  ...{ "\r": "enter", "\n": "enter", "\t": "tab", "\x7f": "backspace", "\b": "backspace" },
  ...{ "\x03": "ctrl-c", "\x0c": "ctrl-l", "\x15": "ctrl-u", "\x1a": "ctrl-z", "\x1b": "escape" },
};

/** The keys in what a terminal sent, and what of it is the beginning of one. */
export function keysOf(sent: string): { readonly keys: string[]; readonly rest: string } {
  const keys: string[] = [];
  for (let at = 0; at < sent.length;) {
    // deno-lint-ignore no-control-regex -- that is what terminals send
    const [sequence] = /^\x1b(\[[0-9;<?]*[@-~]|O[A-Z])/.exec(sent.slice(at)) ?? [];
    if (sequence) {
      const [, button] = /^\[<(6[45]);/.exec(sequence.slice(1)) ?? [];
      const key = button ? button === "64" ? "wheel-up" : "wheel-down" : SEQUENCES[sequence.slice(1)];
      if (key) keys.push(key);
      at += sequence.length;
      continue;
    }
    // deno-lint-ignore no-control-regex -- the same
    if (/^\x1b(\[[0-9;<?]*|O)$/.test(sent.slice(at))) return { keys, rest: sent.slice(at) };
    const character = String.fromCodePoint(sent.codePointAt(at) as number);
    at += character.length;
    const key = CONTROLS[character] ?? (character >= " " ? character : undefined);
    if (key) keys.push(key);
  }
  return { keys, rest: "" };
}

/** A screen. It is taken when it is made, and given back by `close`. */
export class Screen {
  readonly #input = process.stdin;
  readonly #output = process.stdout;
  readonly #onKey: (key: string) => void;
  readonly #colour: boolean;
  readonly #ascii: boolean;
  readonly #close = () => this.close();
  #drawn: string[] = [];
  #rest = "";
  #isOpen = false;

  /** Takes the terminal; `onKey` is told of keys. */
  constructor(onKey: (key: string) => void) {
    this.#onKey = onKey;
    ({ color: this.#colour, ascii: this.#ascii } = looks(this.#output));
    this.#input.setEncoding("utf8");
    this.open();
    // The last that happens, however it comes to that.
    process.on("exit", this.#close);
  }

  readonly #read = (sent: string) => {
    const { keys, rest } = keysOf(this.#rest + sent);
    this.#rest = rest;
    keys.forEach(this.#onKey);
  };

  /** Takes it again. */
  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#drawn = [];
    this.#input.setRawMode(true);
    this.#input.on("data", this.#read);
    this.#input.resume();
    this.#output.write(enterAlternativeScreen + cursorHide + MOUSE_ON + WRAP_OFF + eraseScreen);
  }

  /** Gives it back as it was. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    process.off("exit", this.#close);
    try {
      this.#output.write(MOUSE_OFF + WRAP_ON + cursorShow + exitAlternativeScreen);
      this.#input.setRawMode(false);
    } catch {
      // It went away.
    }
    this.#input.off("data", this.#read);
    this.#input.pause();
  }

  /** Draws everything anew next time: somebody else may have drawn. */
  forget(): void {
    this.#drawn = [];
  }

  /** Its size now. */
  get size(): Size {
    const [columns, rows] = this.#output.getWindowSize?.() ?? [this.#output.columns, this.#output.rows];
    return { columns: columns || 80, rows: rows || 24 };
  }

  #styled(line: Line): string {
    return line.map(({ text, style }) => {
      const code = style && ((this.#colour ? undefined : COLOURLESS[style]) ?? STYLES[style]);
      const shown = inLocale(text, this.#ascii);
      return code ? `\x1b[${code}m${shown}\x1b[0m` : shown;
    }).join("");
  }

  /** Draws lines, those that are others than before. */
  draw(lines: readonly Line[]): void {
    if (!this.#isOpen) return;
    const drawn = lines.map((line) => this.#styled(line));
    // What is erased behind a whole line would be its last column.
    const changes = drawn.map((line, i) => line === this.#drawn[i] ? "" : cursorTo(0, i) + eraseEndLine + line);
    const all = this.#drawn.length === lines.length ? changes.join("") : eraseScreen + changes.join("");
    this.#drawn = drawn;
    if (all) this.#output.write(all);
  }
}
