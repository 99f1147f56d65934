/** The little of protocol buffers that pprof's format needs: numbers, texts, packed numbers, messages. */

/** Writes one message. */
export class Message {
  #bytes = new Uint8Array(256);
  #length = 0;

  #room(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }

  /** A number as its seven-bit groups; of a negative one the two's complement of 64 bits. */
  #varint(value: number): void {
    this.#room(10);
    if (value < 0) {
      for (let rest = BigInt.asUintN(64, BigInt(value)), i = 0; i < 10; i++, rest >>= 7n) {
        this.#bytes[this.#length++] = Number(rest & 0x7fn) | (i < 9 ? 0x80 : 0);
      }
      return;
    }
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = rest % 128 | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#length++] = rest;
  }

  /** A whole number; 0 is left out, as the format has it. */
  number(field: number, value: number): this {
    if (value !== 0) {
      this.#varint(field << 3);
      this.#varint(value);
    }
    return this;
  }

  /** Bytes, or a text. */
  bytes(field: number, value: Uint8Array | string): this {
    const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
    this.#varint(field << 3 | 2);
    this.#varint(bytes.length);
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** Numbers, packed. */
  packed(field: number, values: Iterable<number>): this {
    const inner = new Message();
    for (const value of values) inner.#varint(value);
    return this.bytes(field, inner.finish());
  }

  /** What was written so far. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}
