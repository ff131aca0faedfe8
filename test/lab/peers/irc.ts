/** IRC with a real server; files go from user to user (DCC). */
import { writeFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type RouterLab, SERVER } from '../router.ts';
import type { End, Listener } from '../sockets.ts';
import type { Protocol, Sides } from './session.ts';

const PORT = 6667;
const FILE_PORT = 5010;
const START_TRIES = 100;

export class Irc implements Protocol {
  readonly name = 'IRC';
  readonly application = 'irc';
  readonly wholeFiles = true;
  readonly #sides: Sides;
  readonly #files: Listener;
  #sessions = 0;

  private constructor(sides: Sides, files: Listener) {
    this.#sides = sides;
    this.#files = files;
  }

  static async start(lab: RouterLab, sides: Sides): Promise<Irc> {
    const configuration = joinPath(lab.directory, 'ngircd.conf');
    writeFileSync(
      configuration,
      `[Global]\nName = irc.lab\nInfo = lab\nListen = ${SERVER}\nPorts = ${PORT}\nMotdPhrase = hello\nPidFile =\n[Options]\nDNS = no\nIdent = no\nPAM = no\n[Limits]\nMaxConnectionsIP = 0\n`,
    );
    lab.start(lab.server, ['ngircd', '-n', '-f', configuration]).stdout?.resume();
    for (let i = 0; i < START_TRIES; ++i) {
      const end = await sides.far.connect(SERVER, PORT).catch(() => undefined);
      if (end !== undefined) {
        end.close();
        break;
      }
      await setTimeout(50);
    }
    return new Irc(sides, await sides.far.listen(FILE_PORT));
  }

  async #enter(from: Sides['near'], nick: string): Promise<End> {
    const end = await from.connect(SERVER, PORT);
    end.send(`NICK ${nick}\r\nUSER ${nick} 0 * :${nick}\r\n`);
    await end.readThrough(' 376 ');
    return end;
  }

  async #both(): Promise<{ ann: End; ben: End; names: { ann: string; ben: string } }> {
    const number = ++this.#sessions;
    const names = { ann: `ann${number}`, ben: `ben${number}` };
    const [ann, ben] = await Promise.all([
      this.#enter(this.#sides.near, names.ann),
      this.#enter(this.#sides.far, names.ben),
    ]);
    return { ann, ben, names };
  }

  async say(text: string): Promise<boolean> {
    const { ann, ben, names } = await this.#both();
    ann.send(`PRIVMSG ${names.ben} :${text}\r\n`);
    const heard = (await ben.readThrough(text, 1000)).includes(text);
    ann.close();
    ben.close();
    return heard;
  }

  async fetch(name: string, content: Uint8Array): Promise<Buffer> {
    const { ann, ben, names } = await this.#both();
    const address = Buffer.from(SERVER.split('.').map(Number)).readUInt32BE();
    const quoted = name.includes(' ') ? `"${name}"` : name;
    ben.send(`PRIVMSG ${names.ann} :\x01DCC SEND ${quoted} ${address} ${FILE_PORT} ${content.length}\x01\r\n`);
    const asked = await ann.readThrough('DCC SEND', 1000);
    let got: Buffer = Buffer.alloc(0);
    if (asked.includes('DCC SEND')) {
      const taker = await this.#sides.near.connect(SERVER, FILE_PORT);
      const giver = await this.#files.next();
      giver.send(content);
      got = await taker.read(content.length);
      taker.close();
    }
    ann.close();
    ben.close();
    return got;
  }
}
