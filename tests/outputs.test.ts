/** What documents show is what heaptap prints: their commands are run again (tools/outputs.ts); and no link of theirs is dead (tools/links.ts). */
import assert from "node:assert/strict";
import { relative } from "node:path";
import { test } from "node:test";
import { deadLinks, links } from "../tools/links.ts";
import { difference, documents, madeAnew, shape } from "../tools/outputs.ts";
import { ROOT, without } from "./helpers.ts";

for (const path of documents()) {
  test(`the output in ${relative(ROOT, path)}`, { skip: without("bash") || without("g++") }, () => {
    assert.equal(difference(path), "");
  });
}

test("numbers, units, places and the breaks of lines may differ, words and statuses may not", () => {
  const shown = "49 % of the peak (4.72 MB of 9.61 MB)\n  by load\nrecorded in /tmp/a/b.heaptap\n";
  assert.equal(
    shape(shown),
    shape("7 % of the peak (1 KB of 12 KB) by load\nrecorded in /home/me/work/c.heaptap\n"),
  );
  assert.notEqual(shape(shown), shape(shown.replace("load", "store")));
  assert.notEqual(shape("$ echo $?\n0\n"), shape("$ echo $?\n3\n"));
});

test(
  "a document is one shell: a folder, variables, the status of the command before",
  { skip: without("bash") },
  () => {
    const before =
      "<!-- setup: A=1; echo b > c -->\n<!-- made anew -->\n```console\n$ cat c; (exit $A)\nold\n$ echo $?\n```\n";
    assert.equal(
      madeAnew(before),
      "<!-- setup: A=1; echo b > c -->\n<!-- made anew -->\n```console\n$ cat c; (exit $A)\nb\n$ echo $?\n1\n```\n",
    );
  },
);

test("no link between documents is dead", () => {
  assert.deepEqual(deadLinks(), []);
  assert.deepEqual(links("docs/a.md", "[b](../c.md#d) `[e](f)` [g](https://h/)"), [
    { written: "../c.md", path: "c.md", heading: "d" },
  ]);
});
