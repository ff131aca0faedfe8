import type { Benchmark } from './benchmark.ts';
export const receive: Benchmark = { name: 'receive', about: '', run: () => Promise.reject(new Error('x')) };
