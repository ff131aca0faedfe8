/** Tells what long work is at, on standard error: one line that changes on a terminal, a line per step elsewhere. */
import { coloured } from './output.ts';

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;
/** Where the terminal does not say. */
const COLUMNS = 80;

export class Progress {
  readonly #stream = process.stderr;
  readonly #live: boolean;
  readonly #silent: boolean;
  #timer: NodeJS.Timeout | undefined;
  #frame = 0;
  #text = '';

  /** `silent`: say nothing, as JSON output asks. */
  constructor(silent = false) {
    this.#silent = silent;
    this.#live = !silent && coloured(this.#stream);
  }

  /** `detail` is for the moving line only: what counts up would fill a log. */
  step(text: string, detail = ''): void {
    if (this.#silent) return;
    if (!this.#live) {
      if (text !== this.#text) this.#stream.write(`${text}\n`);
      this.#text = text;
      return;
    }
    this.#text = detail === '' ? text : `${text} (${detail})`;
    this.#draw();
    this.#timer ??= setInterval(() => this.#draw(), FRAME_MS);
  }

  /** A line that stays, above the moving one. */
  note(text: string): void {
    if (this.#silent) return;
    if (this.#live) this.#stream.write('\r\u001b[K');
    this.#stream.write(`${text}\n`);
    if (this.#timer !== undefined) this.#draw();
  }

  end(): void {
    if (this.#timer !== undefined) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#stream.write('\r\u001b[K');
    }
    this.#text = '';
  }

  #draw(): void {
    this.#frame = (this.#frame + 1) % FRAMES.length;
    const room = Math.max(10, (this.#stream.columns || COLUMNS) - 3);
    this.#stream.write(`\r\u001b[K${FRAMES[this.#frame] ?? ''} ${this.#text.slice(0, room)}`);
  }
}
