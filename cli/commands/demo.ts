import { type DemoOptions, runDemo } from '../demo/demo.ts';

export async function run(options: DemoOptions): Promise<void> {
  await runDemo(options);
}
