/** What becomes of a message on a wire. */

/** The bytes' message, as who receives them understands it; throws where they mean none. */
export function overTheWire<Message>(
  codec: { decode(bytes: Uint8Array): { ok: true; value: Message } | { ok: false; message: string } },
  bytes: Uint8Array,
): Message {
  const message = codec.decode(bytes);
  if (!message.ok) throw new Error(message.message);
  return message.value;
}
