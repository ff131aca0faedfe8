#include "gateway/parsers/msn_p2p.h"

#include "gateway/parsers/little_endian.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kInvitationBytesMax = 16 * 1024;
constexpr std::string_view kFileTransfer = "{5D3E02AB-6190-11D3-BBBB-00C04F795683}";
constexpr uint32_t kFileDataFlag = 0x01000000;
// Sent before the data, as a message of its own.
constexpr uint64_t kPreparationBytes = 4;

// In the context of an invitation.
constexpr size_t kSizeAt = 8;
constexpr size_t kNameAt = 20;
constexpr size_t kNameBytes = 520;

}  // namespace

void MsnP2p::message(Side sender, std::span<const uint8_t> bytes, Transfers& transfers, ParserEvents& events) {
  if (bytes.size() < kHeaderBytes) return;
  const uint32_t session = loadLe32(&bytes[0]);
  const uint32_t id = loadLe32(&bytes[4]);
  const uint64_t offset = loadLe64(&bytes[8]);
  const uint64_t total = loadLe64(&bytes[16]);
  const uint32_t length = loadLe32(&bytes[24]);
  const uint32_t flags = loadLe32(&bytes[28]);
  bytes = bytes.subspan(kHeaderBytes);
  if (length == 0 || length > bytes.size() || total < length || offset > total - length) return;
  bytes = bytes.first(length);
  if (session != 0) return fileData(sender, session, offset, total, flags, bytes, transfers, events);
  if (total > kInvitationBytesMax) return;
  Assembly& assembly = assemblies_[indexOf(sender)];
  if (offset == 0) assembly = {id, {}};
  if (assembly.id != id || assembly.text.size() != offset) return;
  assembly.text += textOf(bytes);
  if (assembly.text.size() < total) return;
  const std::string text = std::move(assembly.text);
  assembly = {};
  invitation(sender, text, events);
}

// A start line, fields, an empty line, and fields again; where they stand does not matter here.
void MsnP2p::invitation(Side sender, std::string_view text, ParserEvents& events) {
  const bool invites = startsWith(text, "INVITE ");
  bool file = false;
  std::optional<uint64_t> session;
  std::string_view context;
  std::array<std::string_view, 2> addresses;
  std::array<std::optional<uint16_t>, 2> ports;
  while (!text.empty()) {
    std::string_view value = trimmed(nextWord(text, '\n'));
    const std::string_view name = nextWord(value, ':');
    value = trimmed(value);
    if (same(name, "EUF-GUID")) file = same(value, kFileTransfer);
    if (same(name, "SessionID")) session = decimalOf(value);
    if (same(name, "Context")) context = value;
    if (same(name, "IPv4Internal-Addrs")) addresses[0] = value;
    if (same(name, "IPv4External-Addrs")) addresses[1] = value;
    if (same(name, "IPv4Internal-Port")) ports[0] = portOf(value);
    if (same(name, "IPv4External-Port")) ports[1] = portOf(value);
  }
  if (invites && file && session && *session <= UINT32_MAX)
    fileOffered(sender, static_cast<uint32_t>(*session), context, events);
  const Session& last = sessions_[(nextSession_ + kSessionsMax - 1) % kSessionsMax];
  FlowHint hint;
  if (last.id != 0) hint = {FlowHint::Kind::file, last.name, last.size, 0, std::nullopt};
  for (size_t i = 0; i < 2; ++i) {
    for (size_t count = 0; count < 4 && ports[i].value_or(0) != 0 && !addresses[i].empty(); ++count)
      if (const auto address = addressOf(nextWord(addresses[i]))) events.learnPeer(*address, *ports[i], Application::msn, hint);
  }
}

void MsnP2p::fileOffered(Side sender, uint32_t session, std::string_view context, ParserEvents& events) {
  const std::string bytes = base64Decoded(context);
  if (bytes.size() < kNameAt + 2) return;
  const auto raw = bytesOf(bytes);
  const std::string path = utf8FromUtf16Le(raw.subspan(kNameAt, std::min(kNameBytes, raw.size() - kNameAt)));
  const uint64_t size = loadLe64(&raw[kSizeAt]);
  events.request(sender, {FileOffer::Kind::offer, lastPathPart(path), path, size, {}});
  sessions_[nextSession_] = {session, std::string{lastPathPart(path)}, size};
  nextSession_ = (nextSession_ + 1) % kSessionsMax;
}

const MsnP2p::Session* MsnP2p::sessionOf(uint32_t id) const {
  for (const Session& session : sessions_)
    if (session.id == id) return &session;
  return nullptr;
}

void MsnP2p::fileData(Side sender, uint32_t id, uint64_t offset, uint64_t total, uint32_t flags,
                      std::span<const uint8_t> bytes, Transfers& transfers, ParserEvents& events) {
  const Session* const session = sessionOf(id);
  // Pictures and the like, which nobody has called a file.
  if (session == nullptr && (flags & kFileDataFlag) == 0) return;
  if (total == kPreparationBytes && flags == 0) return;
  Progress& progress = progress_[indexOf(sender)];
  if (offset == 0) {
    progress = {id, 0};
    Transfer transfer;
    transfer.name = session != nullptr ? std::string_view{session->name} : std::string_view{hintedName_};
    transfer.size = total;
    transfer.fileSize = session != nullptr ? session->size : hintedSize_.value_or(total);
    transfer.mayExceed = true;
    transfers.begin(sender, transfer, events);
  }
  if (progress.session != id) return;
  if (progress.next != offset) return transfers.end(sender, false, events);
  progress.next += bytes.size();
  transfers.pass(sender, bytes, events);
  if (progress.next == total) transfers.end(sender, true, events);
}

}  // namespace p2pxbone::gateway
