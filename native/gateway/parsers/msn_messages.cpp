#include "gateway/parsers/msn_messages.h"

#include <algorithm>

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kLineBytesMax = 8 * 1024;
constexpr size_t kWordsMax = 32;
constexpr size_t kParticipantsMax = 20;
constexpr size_t kInvitedMax = 8;
constexpr size_t kAccountBytesMax = 256;
constexpr size_t kChunkedBytesMax = 16 * 1024;

// The last word of these is the length of a payload, whoever sends them, if it is a number.
constexpr std::array<std::string_view, 12> kWithPayload{"MSG", "UUX", "UBX", "UBN", "UUN", "ADL",
                                                        "RML", "GCF", "IPG", "NOT", "UBM", "UUM"};

std::string accountOf(std::string_view word) {
  return utf8Of(word.substr(0, std::min(word.find(';'), kAccountBytesMax)));
}

bool hasPayload(Side side, const std::vector<std::string_view>& words) {
  if (words.size() < 2) return false;
  const std::string_view name = words[0];
  // An answer to a challenge; the server's QRY has none.
  if (name == "QRY") return side == Side::initiator && words.size() >= 4;
  if (name == "UUX" && side == Side::responder) return false;
  // Errors about one of several things name them behind the line.
  if (name.size() == 3 && decimalOf(name)) return words.size() >= 3;
  return std::find(kWithPayload.begin(), kWithPayload.end(), name) != kWithPayload.end();
}

}  // namespace

bool MsnMessages::step(Side side, ParserEvents& events) {
  std::optional<Payload>& payload = payloads_[indexOf(side)];
  if (payload) {
    std::span<const uint8_t> bytes;
    if (reader(side).exactly(payload->bytes, bytes) != Reader::Got::yes) return false;
    const Payload done = std::move(*payload);
    payload.reset();
    if (done.message) message(side, done.from, bytes, events);
    return true;
  }
  std::string_view line;
  const Reader::Got got = reader(side).line(line, kLineBytesMax);
  if (got == Reader::Got::wait) return false;
  // Its payload's length was in it.
  if (got == Reader::Got::tooLong) return giveUp(events);
  return line.empty() ? true : command(side, line, events);
}

bool MsnMessages::resume(Side side, uint64_t bytes, ParserEvents&) {
  std::optional<Payload>& payload = payloads_[indexOf(side)];
  if (!payload || bytes > payload->bytes) return false;
  reader(side).discard(payload->bytes - bytes);
  payload.reset();
  return true;
}

bool MsnMessages::command(Side side, std::string_view line, ParserEvents& events) {
  std::vector<std::string_view> words;
  while (!line.empty() && words.size() < kWordsMax) words.push_back(nextWord(line));
  if (words.empty()) return true;
  presence(side, words, events);
  const auto length = hasPayload(side, words) ? decimalOf(words.back()) : std::nullopt;
  if (!length) return true;
  if (*length > kParserBytesMax) {
    events.attribute("msn.skipped", std::string{words[0].substr(0, 3)});
    reader(side).discard(*length);
    return true;
  }
  Payload payload{static_cast<uint32_t>(*length), words[0] == "MSG" || words[0] == "UUM" || words[0] == "UBM", {}};
  // A client numbers what it sends; a server says who sent it.
  if (payload.message && !decimalOf(words[1])) payload.from = accountOf(words[1]);
  payloads_[indexOf(side)] = std::move(payload);
  return true;
}

// Who is here, and where connections will go.
void MsnMessages::presence(Side side, const std::vector<std::string_view>& words, ParserEvents& events) {
  const auto word = [&](size_t i) { return i < words.size() ? words[i] : std::string_view{}; };
  const std::string_view name = words[0];
  const auto learnSelf = [&](std::string_view account) {
    if (account.find('@') == std::string_view::npos || side != Side::initiator || accountOf(account) == self_) return;
    self_ = accountOf(account);
    events.attribute("msn.account", self_);
  };
  if (name == "VER" && side == Side::responder) events.attribute("msn.version", utf8Of(word(2)));
  if (name == "USR") learnSelf(word(3) == "I" ? word(4) : word(2));
  if (name == "ANS") learnSelf(word(2));
  if (name == "JOI") joined(word(1));
  if (name == "IRO") joined(word(4));
  if (name == "BYE") std::erase(participants_, accountOf(word(1)));
  if (name == "XFR" || name == "RNG") {
    std::string_view port = word(name == "XFR" ? 3 : 2);
    const auto address = addressOf(nextWord(port, ':'));
    if (address && portOf(port).value_or(0) != 0) events.learnPeer(*address, *portOf(port), Application::msn, {});
  }
}

void MsnMessages::joined(std::string_view word) {
  const std::string account = accountOf(word);
  const bool known = std::find(participants_.begin(), participants_.end(), account) != participants_.end();
  if (!account.empty() && !known && participants_.size() < kParticipantsMax) participants_.push_back(account);
}

std::string MsnMessages::others(std::string_view but) const {
  std::string all;
  for (const std::string& account : participants_) {
    if (account == but) continue;
    if (!all.empty()) all += ',';
    all += account;
  }
  return all;
}

void MsnMessages::message(Side side, const std::string& from, std::span<const uint8_t> bytes, ParserEvents& events) {
  std::string_view rest = textOf(bytes);
  std::string_view type;
  std::string_view id;
  std::optional<uint64_t> chunks;
  std::optional<uint64_t> chunk;
  while (!rest.empty()) {
    std::string_view value = trimmed(nextWord(rest, '\n'));
    if (value.empty()) break;
    const std::string_view name = nextWord(value, ':');
    value = trimmed(value);
    if (same(name, "Content-Type")) type = value;
    if (same(name, "Message-ID")) id = value;
    if (same(name, "Chunks")) chunks = decimalOf(value);
    if (same(name, "Chunk")) chunk = decimalOf(value);
    if (same(name, "P4-Context")) events.attribute("msn.shown_name", utf8Of(value));
  }
  const bool continues = type.empty() && chunk;
  if (continues || startsWith(type, "text/plain"))
    plainText(side, from, id, chunks, chunk, rest, events);
  else if (startsWith(type, "text/x-msmsgsinvite"))
    invitation(side, rest, events);
  else if (startsWith(type, "application/x-msnmsgrp2p"))
    p2p_.message(side, bytesOf(rest), transfers(), events);
}

void MsnMessages::plainText(Side side, const std::string& from, std::string_view id, std::optional<uint64_t> chunks,
                            std::optional<uint64_t> chunk, std::string_view text, ParserEvents& events) {
  Chunked& chunked = chunked_[indexOf(side)];
  if (!chunk && chunks.value_or(1) <= 1) return tellChat(side, from, text, events);
  if (!chunk) {
    if (!chunked.text.empty()) tellChat(side, from, chunked.text, events);
    chunked = {std::string{id.substr(0, 64)}, std::string{text}, 1, *chunks};
  } else if (chunked.id != id.substr(0, 64) || chunked.next != *chunk) {
    return tellChat(side, from, text, events);
  } else {
    chunked.text += text;
    ++chunked.next;
  }
  if (chunked.next < chunked.count && chunked.text.size() <= kChunkedBytesMax) return;
  tellChat(side, from, chunked.text, events);
  release(chunked.text);
  chunked = {};
}

void MsnMessages::tellChat(Side side, const std::string& from, std::string_view text, ParserEvents& events) {
  const bool own = from.empty();
  events.chat(side, {ChatMessage::Kind::text, own ? self_ : from, own ? others(self_) : self_, utf8Of(text)});
}

void MsnMessages::invitation(Side side, std::string_view body, ParserEvents& events) {
  std::string_view command;
  std::string_view cookie;
  std::string_view file;
  std::string_view size;
  std::string_view address;
  std::string_view port;
  while (!body.empty()) {
    std::string_view value = trimmed(nextWord(body, '\n'));
    const std::string_view name = nextWord(value, ':');
    value = trimmed(value);
    if (same(name, "Invitation-Command")) command = value;
    if (same(name, "Invitation-Cookie")) cookie = value;
    if (same(name, "Application-File")) file = value;
    if (same(name, "Application-FileSize")) size = value;
    if (same(name, "IP-Address")) address = value;
    if (same(name, "Port")) port = value;
  }
  cookie = cookie.substr(0, 32);
  if (same(command, "INVITE") && !file.empty()) {
    const std::string path = utf8Of(file);
    events.request(side, {FileOffer::Kind::offer, lastPathPart(path), path, decimalOf(size), {}});
    if (invited_.size() == kInvitedMax) invited_.erase(invited_.begin());
    invited_.push_back({std::string{cookie}, std::string{lastPathPart(path)}, decimalOf(size)});
  }
  const auto where = addressOf(address);
  if (!same(command, "ACCEPT") || !where || portOf(port).value_or(0) == 0) return;
  FlowHint hint;
  hint.kind = FlowHint::Kind::file;
  for (const Invited& invited : invited_) {
    if (invited.cookie != cookie) continue;
    hint.name = invited.name;
    hint.size = invited.size;
  }
  events.learnPeer(*where, *portOf(port), Application::msn, hint);
}

}  // namespace p2pxbone::gateway
