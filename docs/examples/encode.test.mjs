// Two tests of node:test: one lets go of what it encodes, the other keeps it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

const kept = [];

function encoded(count) {
  return Array.from({ length: count }, (_, i) => new Uint8Array(20_000).fill(i));
}

test("answers are encoded and kept", () => {
  kept.push(...encoded(100));
  assert.equal(kept.length, 100);
});

test("answers are encoded and sent", async () => {
  for (const answer of encoded(50)) assert.equal(answer.length, 20_000);
  await setTimeout(10); // until the other side has it
});
