/** XMPP: a server of the lab's own, through which one user talks to another and gets files of them in band (XEP-0095, 0047). */
import { SERVER } from '../router.ts';
import type { End, Listener } from '../sockets.ts';
import type { Protocol, Sides } from './session.ts';

const PORT = 5222;
const BLOCK_BYTES = 4096;
const STREAM = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'";
const SI = 'http://jabber.org/protocol/si';
const FILE_TRANSFER = `${SI}/profile/file-transfer`;
const IBB = 'http://jabber.org/protocol/ibb';
const ANN = 'ann@chat.lab/desk';
const BEN = 'ben@chat.lab/desk';

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll("'", '&apos;').replaceAll('"', '&quot;');

export class Xmpp implements Protocol {
  readonly name = 'XMPP';
  readonly application = 'xmpp';
  readonly wholeFiles = true;
  readonly #sides: Sides;
  readonly #server: Listener;
  #sessions = 0;

  private constructor(sides: Sides, server: Listener) {
    this.#sides = sides;
    this.#server = server;
  }

  static async start(sides: Sides): Promise<Xmpp> {
    return new Xmpp(sides, await sides.far.listen(PORT));
  }

  /** A user who has opened a stream, has said who they are, opened it anew and got an address. */
  async #enter(): Promise<{ ann: End; server: End }> {
    const ann = await this.#sides.near.connect(SERVER, PORT);
    const server = await this.#server.next();
    await this.#open(
      ann,
      server,
      "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>",
    );
    const secret = Buffer.from('\0ann\0opensesame').toString('base64');
    ann.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${secret}</auth>`);
    await server.readThrough('</auth>');
    server.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    await ann.readThrough('/>');
    await this.#open(ann, server, "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>");
    ann.send(
      "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>desk</resource></bind></iq>",
    );
    await server.readThrough('</iq>');
    server.send(
      `<iq type='result' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>${ANN}</jid></bind></iq>`,
    );
    await ann.readThrough('</iq>');
    return { ann, server };
  }

  async #open(ann: End, server: End, features: string): Promise<void> {
    ann.send(`<?xml version='1.0'?><stream:stream to='chat.lab' ${STREAM}>`);
    await server.readThrough("version='1.0'>");
    server.send(
      `<?xml version='1.0'?><stream:stream from='chat.lab' id='s1' ${STREAM}><stream:features>${features}</stream:features>`,
    );
    await ann.readThrough('</stream:features>');
  }

  async say(text: string): Promise<boolean> {
    const { ann, server } = await this.#enter();
    ann.send(`<message to='${BEN}' type='chat' id='m1'><body>${escaped(text)}</body></message>`);
    const heard = (await server.readThrough('</message>', 1000)).includes(text);
    ann.close();
    server.close();
    return heard;
  }

  async fetch(name: string, content: Uint8Array): Promise<Buffer> {
    const { ann, server } = await this.#enter();
    const stream = `f${++this.#sessions}`;
    const from = `from='${BEN}' to='${ANN}'`;
    server.send(
      `<iq type='set' id='o1' ${from}><si xmlns='${SI}' id='${stream}' profile='${FILE_TRANSFER}'><file xmlns='${FILE_TRANSFER}' name='${escaped(name)}' size='${content.length}'/></si></iq>`,
    );
    const parts: Buffer[] = [];
    if ((await ann.readThrough('</iq>', 1000)).includes('</iq>')) {
      ann.send(`<iq type='result' id='o1' to='${BEN}'/>`);
      await server.readThrough('/>');
      server.send(
        `<iq type='set' id='o2' ${from}><open xmlns='${IBB}' sid='${stream}' block-size='${BLOCK_BYTES}'/></iq>`,
      );
      await ann.readThrough('</iq>');
      ann.send(`<iq type='result' id='o2' to='${BEN}'/>`);
      for (let at = 0, sequence = 0; at < content.length; at += BLOCK_BYTES, sequence++) {
        const block = Buffer.from(content.subarray(at, at + BLOCK_BYTES)).toString('base64');
        server.send(
          `<iq type='set' id='d${sequence}' ${from}><data xmlns='${IBB}' seq='${sequence % 65_536}' sid='${stream}'>${block}</data></iq>`,
        );
      }
      server.send(`<iq type='set' id='c1' ${from}><close xmlns='${IBB}' sid='${stream}'/></iq>`);
      const said = (await ann.readThrough('<close', 10_000)).toString();
      for (const [, data = ''] of said.matchAll(/<data [^>]*>([^<]*)<\/data>/g))
        parts.push(Buffer.from(data, 'base64'));
    }
    ann.close();
    server.close();
    return Buffer.concat(parts);
  }
}
