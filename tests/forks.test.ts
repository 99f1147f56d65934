/** What a fork's child must not wait for, and what it finds of its parent's. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { profile } from "../mod.ts";
import { scratch, target } from "./helpers.ts";

const folder = scratch();

test("a child of a process that was looking at its libraries allocates", async () => {
  const out = join(folder, "loader.%p.heaptap");
  const { exitCode, recording, others } = await profile([target(folder, "fork_in_loader.c")], { out, stdio: "ignore" });
  assert.equal(exitCode, 7);
  const child = [recording, ...others].map((one) => one!.profile()).find(({ totals }) => totals.allocations === 3);
  assert.equal(child?.totals.bytes, 300);
});

for (const allocator of ["jemalloc.so.2", "mimalloc.so.2.0", "tcmalloc_minimal.so.4"]) {
  const library = `/usr/lib/x86_64-linux-gnu/lib${allocator}`;
  test(`a child's first operator new below ${allocator}`, {
    skip: existsSync(library) ? false : `${allocator} is not installed`,
  }, async () => {
    const out = join(folder, `${allocator}.%p.heaptap`);
    const env = { ...process.env, LD_PRELOAD: library };
    const { exitCode, recording, others } = await profile([target(folder, "fork_operators.cc")], {
      ...{ out, env, stdio: "ignore" },
    });
    assert.equal(exitCode, 7);
    const child = [recording, ...others].map((one) => one!.profile()).find(({ totals }) => totals.allocations === 5);
    assert.equal(child?.totals.bytes, 200);
  });
}
