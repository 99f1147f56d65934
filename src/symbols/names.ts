/**
 * Function names as people read them, and as runs are compared by. Symbolisers spell a C++ function with all that the
 * compiler knows of it (return type, parameters, default template arguments, inline namespaces, ABI tags), a Rust one
 * with a hash of the build, and what the compiler split off with a suffix. What an author would have written is left.
 */
import { demangle, isMangled } from "./demangler.ts";

/** A function's name to read, and what it is known by in another build of the program. */
export interface ReadableName {
  /** To read: without parameters. */
  readonly name: string;
  /** To compare by: the same for two builds of one source, another for each overload. */
  readonly key: string;
}

/** What compilers append to the parts and copies that they make of a function; `[clone .cold]` and `(.cold)` is how demanglers write it. */
const CLONE =
  /(?: \[clone [^\]]*\]| \(\.[^)]*\)|\.(?:isra|part|constprop|cold|lto_priv|localalias|llvm|specialized)(?:\.\d+)*|(?<!func\d+(?:\.\d+)*)\.\d+)+$/;
/** The version of a symbol: `@@GLIBC_2.2.5`. `@plt` is no version. */
const VERSION = /@@?[A-Z][\w.]*$/;
/** Rust's legacy hash of the build, and the disambiguators of its v0 names. */
const RUST_HASH = /::h[0-9a-f]{16}$/;
const DISAMBIGUATOR = /\[(?:abi:[^\]]*|[0-9a-f]{4,16})\]/y;
/** Rust's legacy escapes, where a tool took the name for C++. */
const RUST_ESCAPES: Readonly<Record<string, string>> = {
  ...{ SP: "@", BP: "*", RF: "&", LT: "<", GT: ">", LP: "(", RP: ")", C: "," },
};
/** Longer names are shown as they are: nobody reads them, and taking them apart costs. */
const LONGEST = 50_000;
/** Deeper nesting is shown as it is. */
const DEEPEST = 100;

const QUALIFIERS = "(?: const| volatile| noexcept| ?&&?| \\[clone [^\\]]*\\])*";
const THEN_SCOPE = new RegExp(`^${QUALIFIERS}::`);
const THEN_END = new RegExp(`^${QUALIFIERS}$`);
const OPERATOR =
  /operator(?:\(\)|\[\]|->\*?|<=>|<<=?|>>=?|&&|\|\||\+\+|--|[-+*/%^&|<>=!]=?|~|,| ?new(?:\[\])?| ?delete(?:\[\])?| ?"" ?\w+| ?co_await)/y;
const IDENTIFIER = /[\w$~.@\u0080-\uffff]+/y;
const ANONYMOUS = "(anonymous namespace)";

/** The library's classes that people know by another name, by template and first argument. */
const TYPEDEFS: readonly (readonly [template: RegExp, name: string])[] = [
  [/^basic_(string|string_view|regex)$/, "$1"],
  [/^basic_((?:[io]|io)?(?:stream|stringstream|fstream)|(?:string|file|stream)buf|ios|filebuf)$/, "$1"],
  [/^basic_(ios|[io]stringstream|[io]fstream|ofstream)$/, "$1"],
];
const CHARACTERS: Readonly<Record<string, string>> = {
  ...{ char: "", wchar_t: "w", char8_t: "u8", char16_t: "u16", char32_t: "u32" },
};

/** Arguments that a template has when nobody gives others. */
const DEFAULT_ARGUMENT =
  /^(?:std::(?:allocator|less|hash|equal_to|default_delete|char_traits)<.*>|(?:alloc::alloc::)?Global|(?:std::|ahash::)?(?:\w+::)*RandomState)$/;

/** A part of a qualified name, between its `::`. */
interface Part {
  text: string;
  /** Template arguments. */
  args: string[] | undefined;
  /** Parameters of a function that something is declared in. */
  params: string;
}

/** Where the bracket at `open` is closed; the text's end when it is not. Angle brackets inside round ones may be comparisons. */
function close(text: string, open: number): number {
  const [opening, closing] = text[open] === "<" ? "<>" : text[open] === "(" ? "()" : text[open] === "[" ? "[]" : "{}";
  for (let at = open + 1; at < text.length; at++) {
    const c = text[at];
    if (c === closing) {
      if (!(c === ">" && text[at - 1] === "-")) return at;
    } else if (c === opening || (opening === "<" && (c === "(" || c === "{"))) {
      at = close(text, at);
    } else if (opening === "<" && c === "o") {
      OPERATOR.lastIndex = at;
      if (!/\w/.test(text[at - 1] ?? "") && OPERATOR.test(text)) at = OPERATOR.lastIndex - 1;
    }
  }
  return text.length;
}

/** Takes a name, or a type, apart and writes it shorter. `whole`: for the key, with parameters and unnamed namespaces. */
class Shortener {
  readonly #text: string;
  readonly #whole: boolean;
  readonly #depth: number;
  #at = 0;

  constructor(text: string, whole: boolean, depth: number) {
    this.#text = text;
    this.#whole = whole;
    this.#depth = depth;
  }

  /** A type, or whatever stands between the brackets of a template. */
  type(): string {
    const text = this.#text;
    if (this.#depth > DEEPEST) return text;
    let out = "";
    while (this.#at < text.length) {
      const c = text[this.#at] as string;
      if (this.#beginsName()) out += this.#render(this.#parts(true));
      else if (c === "(" || c === "[" || c === "{") out += this.#group();
      else if (c === " " && text[this.#at + 1] === ">") this.#at++;
      else {
        out += c;
        this.#at++;
      }
    }
    return out;
  }

  /** A function: without its return type, and without its parameters unless for the key. */
  function(): string {
    const text = this.#text;
    let last: Part[] = [];
    let alone = true;
    while (this.#at < text.length) {
      if (this.#beginsName()) {
        alone = last.length === 0 && alone;
        last = this.#parts(false);
        continue;
      }
      const c = text[this.#at] as string;
      if (c === "(" && last.length > 0) {
        const end = close(text, this.#at);
        if (THEN_END.test(text.slice(end + 1))) {
          const params = this.#whole ? this.#group() : "";
          return this.#render(last) + params;
        }
      }
      alone = false;
      this.#at = c === "(" || c === "[" || c === "{" ? close(text, this.#at) + 1 : this.#at + 1;
    }
    if (alone && last.length > 0) return this.#render(last);
    return new Shortener(text, this.#whole, this.#depth).type();
  }

  #beginsName(): boolean {
    const text = this.#text;
    const c = text[this.#at] as string;
    if (c === "<") return this.#at === 0;
    if (c === "'") return text.startsWith("'lambda", this.#at) || text.startsWith("'unnamed", this.#at);
    return /[\w$~\u0080-\uffff]/.test(c) || text.startsWith(ANONYMOUS, this.#at) ||
      (c === "{" && /^\{(?:lambda|closure|unnamed|impl|\{)/.test(text.slice(this.#at, this.#at + 9)));
  }

  /** A bracket with what is in it. */
  #group(): string {
    const open = this.#at;
    const end = close(this.#text, open);
    this.#at = end + 1;
    const inner = new Shortener(this.#text.slice(open + 1, end), this.#whole, this.#depth + 1).type();
    return `${this.#text[open]}${inner}${this.#text[end] ?? ""}`;
  }

  /** A qualified name. In a type, `f (…)` is a function type, not a scope. */
  #parts(inType: boolean): Part[] {
    const text = this.#text;
    const parts: Part[] = [];
    for (;;) {
      const part: Part = { text: "", args: undefined, params: "" };
      const c = text[this.#at];
      OPERATOR.lastIndex = IDENTIFIER.lastIndex = this.#at;
      if (text.startsWith(ANONYMOUS, this.#at)) {
        part.text = ANONYMOUS;
        this.#at += ANONYMOUS.length;
      } else if (text.startsWith("<lambda(", this.#at)) {
        // As GCC writes `{lambda(int)}` in debug information.
        const end = close(text, this.#at);
        part.text = `{${text.slice(this.#at + 1, end)}}`;
        this.#at = end + 1;
      } else if (c === "<") {
        const args = this.#arguments();
        const before = parts.at(-1);
        // Rust: `Vec::<u8>::push`; at the beginning `<Vec<u8> as Drop>::drop`.
        if (before && !before.args) {
          before.args = args;
          if (!this.#scope()) return parts;
          continue;
        }
        const type = args.join(", ");
        // Of a type's own functions Rust writes `<Vec<u8>>::push` as well as `Vec<u8>::push`.
        part.text = /^[\w:]+(?:<.*>)?$/.test(type) && text.startsWith("::", this.#at) ? type : `<${type}>`;
      } else if (c === "{") {
        const end = close(text, this.#at);
        part.text = text.slice(this.#at, end + 1).replace(/^\{\{(.*)\}\}$/, "{$1}");
        if (/^\{\{/.test(text.slice(this.#at)) && text[end + 1] === "}") part.text = part.text.slice(1);
        this.#at = end + 1;
      } else if (c === "'") {
        const end = text.indexOf("'", this.#at + 1);
        part.text = text.slice(this.#at, end + 1);
        this.#at = end < 0 ? text.length : end + 1;
      } else if (OPERATOR.test(text)) {
        part.text = text.slice(this.#at, OPERATOR.lastIndex);
        // A space keeps its arguments apart: `operator<< <int>`.
        this.#at = OPERATOR.lastIndex + Number(text.startsWith(" <", OPERATOR.lastIndex));
      } else if (/^operator \S/.test(text.slice(this.#at, this.#at + 10))) {
        // A conversion: what stands before the parameters is a type.
        const open = text.indexOf("(", this.#at);
        const end = open < 0 ? text.length : open;
        part.text = `operator ${new Shortener(text.slice(this.#at + 9, end), this.#whole, this.#depth + 1).type()}`;
        this.#at = end;
      } else if (IDENTIFIER.test(text)) {
        part.text = text.slice(this.#at, IDENTIFIER.lastIndex);
        this.#at = IDENTIFIER.lastIndex;
      } else {
        return parts;
      }
      for (DISAMBIGUATOR.lastIndex = this.#at; DISAMBIGUATOR.test(text);) this.#at = DISAMBIGUATOR.lastIndex;
      if (text[this.#at] === "<" && part.text[0] !== "<") part.args = this.#arguments();
      for (DISAMBIGUATOR.lastIndex = this.#at; DISAMBIGUATOR.test(text);) this.#at = DISAMBIGUATOR.lastIndex;
      if (text[this.#at] === "(" && (!inType || !/\s/.test(text[this.#at - 1] ?? ""))) {
        const end = close(text, this.#at);
        const scope = THEN_SCOPE.exec(text.slice(end + 1));
        if (scope) {
          part.params = this.#group();
          this.#at = end + 1 + scope[0].length - 2;
        }
      }
      parts.push(part);
      if (!this.#scope()) return parts;
    }
  }

  #scope(): boolean {
    if (!this.#text.startsWith("::", this.#at) || this.#at + 2 >= this.#text.length) return false;
    this.#at += 2;
    return true;
  }

  /** Template arguments, without those at the end that nobody gave. */
  #arguments(): string[] {
    const text = this.#text;
    const end = close(text, this.#at);
    const args: string[] = [];
    let from = this.#at + 1;
    for (let at = from; at <= end; at++) {
      const c = text[at];
      if (at === end || c === ",") {
        args.push(new Shortener(text.slice(from, at).trim(), this.#whole, this.#depth + 1).type());
        from = at + 1;
      } else if (c === "<" || c === "(" || c === "{" || c === "[") {
        at = Math.min(end - 1, close(text, at));
      }
    }
    this.#at = end + 1;
    while (args.length > 1 && DEFAULT_ARGUMENT.test(args.at(-1) ?? "")) args.pop();
    return args;
  }

  #render(parts: readonly Part[]): string {
    const inStd = parts[0]?.text === "std";
    const out: string[] = [];
    let renamed: readonly [from: string, to: string] | undefined;
    for (const part of parts) {
      let { text, args } = part;
      if (inStd && out.length === 1 && /^(__cxx11|__1|__ndk1|_V2|__8)$/.test(text)) continue;
      if (text === ANONYMOUS && !this.#whole) continue;
      if (inStd && out.length === 1 && args?.length === 1) {
        const prefix = CHARACTERS[args[0] ?? ""];
        const typedef = TYPEDEFS.find(([template]) => template.test(text));
        if (prefix !== undefined && typedef) {
          renamed = [text, prefix + text.replace(...typedef)];
          [text, args] = [renamed[1], undefined];
        }
      } else if (renamed && text.replace("~", "") === renamed[0]) {
        text = text.replace(...renamed); // a constructor
      }
      const isLambda = /^(\{lambda(?! in ).*\}|'lambda\d*'|\$_\d+)$/.test(text);
      if (isLambda && !this.#whole) {
        const place = out.splice(0).join("::").replace(/^\{lambda in (.*)\}$/, "$1");
        out.push(place ? `{lambda in ${place}}` : "{lambda}");
        continue;
      }
      // What a lambda does is its one operator, or a function made of it.
      if (/^\{lambda/.test(out.at(-1) ?? "") && /^(operator\(\)|_FUN|__invoke)$/.test(text) && !this.#whole) continue;
      if (!this.#whole) text = text.replace(/^\{closure(:[^}]*|#\d+)\}$/, "{closure}");
      let params = this.#whole ? part.params : "";
      if (text[0] === "'") {
        // As LLVM writes `{lambda(int)#1}`.
        text = text.replace(
          /^'(\w+?)(\d*)'$/,
          (_, what: string, n: string) => `{${what}${params}#${Number(n || -1) + 2}}`,
        );
        params = "";
      }
      if (text.startsWith("operator") && args?.length === 1 && DEFAULT_ARGUMENT.test(args[0] ?? "")) args = undefined;
      const space = args && text.endsWith("<") ? " " : "";
      out.push(text + space + (args ? `<${args.join(", ")}>` : "") + params);
    }
    return out.join("::");
  }
}

function unescapeRust(name: string): string {
  if (isMangled(name) || !/\$(?:[A-Z]{1,2}|u[0-9a-f]{1,6})\$/.test(name)) return name;
  return name.replace(/\$(?:u([0-9a-f]{1,6})|([A-Z]{1,2}))\$/g, (whole, code?: string, word = "") => {
    if (code === undefined) return RUST_ESCAPES[word] ?? whole;
    const point = parseInt(code, 16);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  }).replace(/\.\./g, "::").replace(/(^|::)_(?=<)/g, "$1");
}

function shorten(raw: string): ReadableName {
  const demangled = demangle(raw).replace(CLONE, "").replace(VERSION, "").replace(RUST_HASH, "").replace(
    /^__GI_(?=\w)/,
    "",
  );
  const text = unescapeRust(demangled).replace(/^(?:non-virtual|virtual|covariant return) thunk to /, "");
  if (/^_GLOBAL__(?:sub_)?[ID]_/.test(text)) return { name: "static initialisers", key: text };
  if (text.length > LONGEST || !/[<(:{$'[]/.test(text)) return { name: text || raw, key: text || raw };
  const name = new Shortener(text, false, 0).function();
  return { name: name || text, key: new Shortener(text, true, 0).function() || text };
}

const known = new Map<string, ReadableName>();

/** What becomes of a name that a symboliser gave, demangled or not. */
export function readableName(raw: string): ReadableName {
  let answer = known.get(raw);
  if (!answer) known.set(raw, answer = shorten(raw));
  return answer;
}

/**
 * A name in so many columns. Template arguments go first, then namespaces, at last the middle: a function's own name stands at
 * the end.
 */
export function fitName(name: string, width: number): string {
  if (name.length <= width) return name;
  // Rust's `<a::b::Type as c::d::Trait>::f` has its namespaces inside.
  const without = withoutArguments(name).replace(/^<.*>(?=::)/, (type) => type.replace(/(?:\w+::)+(?=\w)/g, ""));
  if (without.length <= width) return without;
  const scopes = without.startsWith("<") ? [without] : without.split("::");
  while (scopes.length > 1 && scopes.join("::").length + 3 > width) scopes.shift();
  const bare = `\u2026::${scopes.join("::")}`;
  return bare.length <= width && !without.startsWith("<") ? bare : middleOut(without, width);
}

/** Each template's arguments as `<…>`. */
function withoutArguments(name: string): string {
  let out = "";
  for (let at = 0; at < name.length; at++) {
    OPERATOR.lastIndex = at;
    if (name[at] === "o" && !/\w/.test(name[at - 1] ?? "") && OPERATOR.test(name)) {
      out += name.slice(at, OPERATOR.lastIndex);
      at = OPERATOR.lastIndex - 1;
    } else if (name[at] === "<" && at > 0 && /[\w:]/.test(name[at - 1] ?? "")) {
      at = close(name, at);
      out += "<\u2026>";
    } else {
      out += name[at];
    }
  }
  return out;
}

/** Text of at most `width` columns, its middle cut out. */
export function middleOut(text: string, width: number): string {
  if (text.length <= width) return text;
  const end = Math.ceil((width - 1) / 2);
  return width < 2 ? text.slice(0, Math.max(0, width)) : `${text.slice(0, width - 1 - end)}\u2026${text.slice(-end)}`;
}
