/** Installs with a recording on disk, and says where it is while it runs; ends when its stdin does. */
import process from "node:process";
import { install } from "../../mod.ts";
import { openBlocks } from "../blocks.ts";

const [library = "", out = ""] = process.argv.slice(2);
install({ out, buckets: 1000, depth: 32 });
openBlocks(library).keep(12, 345);
process.stdout.write("ready\n");
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
