#!/usr/bin/env node
/** `p2pxbone`: the command line. Each command's code is loaded when it is called, so that small ones start quickly. */
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

// Beside the code and not in the common temporary directory: what is in the cache is run, by root too.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/p2pxbone', import.meta.url)));
const { runCommandLine } = await import('./program.ts');
await runCommandLine(process.argv);
