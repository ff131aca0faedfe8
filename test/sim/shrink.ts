/**
 * Makes a plan that fails smaller, after Zeller and Hildebrandt's delta debugging: leaves parts of its steps out as long as
 * what remains still fails. The arrivals of the first nodes are steps like any other.
 */
import type { Plan, Step } from './plan.ts';

/** `fails`: whether the plan with these steps fails still. `runsMax`: so many are tried at most. */
export function shrunk(plan: Plan, fails: (plan: Plan) => boolean, runsMax: number): Plan {
  let steps: readonly Step[] = plan.steps;
  let runs = 0;
  const failsWith = (some: readonly Step[]): boolean => {
    if (runs >= runsMax || some.length === steps.length) return false;
    runs++;
    return fails({ ...plan, steps: [...some] });
  };
  let parts = 2;
  for (; steps.length > 1; ) {
    if (runs >= runsMax) break;
    const size = Math.ceil(steps.length / parts);
    const smaller = withoutOnePart(steps, size, failsWith);
    if (smaller !== undefined) {
      steps = smaller;
      parts = Math.max(2, parts - 1);
    } else if (size <= 1) break;
    else parts = Math.min(steps.length, 2 * parts);
  }
  return { ...plan, steps: [...steps] };
}

function withoutOnePart(
  steps: readonly Step[],
  size: number,
  fails: (steps: readonly Step[]) => boolean,
): readonly Step[] | undefined {
  // What came last before the failure matters most often: so begin at the beginning.
  for (let from = 0; from < steps.length; from += size) {
    const rest = [...steps.slice(0, from), ...steps.slice(from + size)];
    if (fails(rest)) return rest;
  }
  return undefined;
}
