/**
 * Its own timeline. First malloc's blocks of 2 MB come and go, until the ring of samples has been thinned and is filling again, with nothing of them touched;
 * then the runtime fills 64 MB. Prints the timeline after either, and what the runtime says is resident.
 */
import process from "node:process";
import { install, profileNow } from "../../mod.ts";
import { openBlocks } from "../blocks.ts";

install();
const { blocks } = openBlocks(process.argv[2] ?? "");
const told = async () => {
  const { rss } = process.memoryUsage();
  return { rss, timeline: (await profileNow({ limit: 1 })).profile.timeline };
};
let [most, samples] = [0, 0];
for (const until = performance.now() + 20_000; performance.now() < until && (samples === most || samples < 800);) {
  for (let i = 0; i < 1000; i++) blocks(20, 100_000);
  samples = (await told()).timeline.length;
  most = Math.max(most, samples);
}
const before = await told();
const filled = new Uint8Array(64_000_000).fill(1);
const after = await told();
console.log(JSON.stringify({ before, after, filled: filled.length }));
