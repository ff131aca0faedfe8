import type { Benchmark } from './benchmark.ts';
export const soak: Benchmark = { name: 'soak', about: '', run: () => Promise.reject(new Error('x')) };
