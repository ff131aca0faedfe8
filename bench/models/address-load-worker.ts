/** Measures the scenes that it is sent, in a process of its own. */
import { answerTasks } from '../../test/sim/crew.ts';
import { measureLoad } from './address-load.ts';

answerTasks(measureLoad);
