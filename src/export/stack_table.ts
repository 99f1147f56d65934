/** Stacks as columns of numbers, each frame and each beginning that several have in common once. */
import type { PageData } from "./page/data.ts";
import type { FrameKind } from "../symbols/kinds.ts";
import type { ExportFrame } from "./stacks.ts";

/** Numbers things in the order in which they are first met. */
class Numbers<K> {
  readonly #numbers = new Map<K, number>();

  /** The number of a key, and whether it is new. */
  of(key: K): [number: number, isNew: boolean] {
    const known = this.#numbers.get(key);
    if (known !== undefined) return [known, false];
    const number = this.#numbers.size;
    this.#numbers.set(key, number);
    return [number, true];
  }

  /** All keys, by their numbers. */
  keys(): K[] {
    return [...this.#numbers.keys()];
  }
}

/** Nodes, and places, are numbered below this, so that a pair of numbers is one exact number. */
const MANY = 2 ** 26;

/** Puts stacks together into the columns of {@linkcode PageData}. */
export class StackTable {
  readonly #modules = new Numbers<string>();
  readonly #files = new Numbers<string>();
  readonly #kinds = new Numbers<FrameKind>();
  readonly #functions = new Numbers<string>();
  readonly #places = new Numbers<string>();
  readonly #nodes = new Numbers<number>();
  readonly #name: string[] = [];
  readonly #module: number[] = [];
  readonly #kind: number[] = [];
  readonly #fn: number[] = [];
  readonly #file: number[] = [];
  readonly #line: number[] = [];
  readonly #back: number[] = [];
  readonly #place: number[] = [];

  #placeOf({ name, module, file, line, kind }: ExportFrame): number {
    const [moduleNumber] = this.#modules.of(module);
    const [kindNumber] = this.#kinds.of(kind);
    const [fn, isNewFunction] = this.#functions.of(`${moduleNumber} ${kindNumber} ${name}`);
    if (isNewFunction) {
      this.#name.push(name);
      this.#module.push(moduleNumber);
      this.#kind.push(kindNumber);
    }
    const [fileNumber] = this.#files.of(file);
    const [place, isNewPlace] = this.#places.of(`${fn} ${fileNumber} ${line}`);
    if (isNewPlace) {
      this.#fn.push(fn);
      this.#file.push(fileNumber);
      this.#line.push(line);
    }
    return place;
  }

  /** Adds a call path, outermost frame first; returns its innermost node, -1 where no frame is known. What is there stays where it is. */
  add(stack: readonly ExportFrame[]): number {
    let node = -1;
    for (const frame of stack) {
      const place = this.#placeOf(frame);
      const [next, isNew] = this.#nodes.of((node + 1) * MANY + place);
      if (isNew) {
        this.#back.push(node < 0 ? 0 : next - node);
        this.#place.push(place);
      }
      node = next;
    }
    return node;
  }

  /** The columns. */
  columns(): Pick<PageData, "modules" | "files" | "kinds" | "functions" | "places" | "nodes"> {
    return {
      modules: this.#modules.keys(),
      files: this.#files.keys(),
      kinds: this.#kinds.keys(),
      functions: { name: this.#name, module: this.#module, kind: this.#kind },
      places: { fn: this.#fn, file: this.#file, line: this.#line },
      nodes: { back: this.#back, place: this.#place },
    };
  }
}
