// A script, read from the input, of what reaches the reader of DTLS records: what two peers sealed, whole, damaged, cut,
// repeated, put together in one datagram or sent from elsewhere, across changes of keys; and bytes that anyone made up.
//
// Steps of one byte each, kind in the low 3 bits, peer in bit 3, endpoint it comes from in bits 4 and 5, followed by the
// operands that each kind reads. Nothing that was not sealed may come out, and nothing twice.
#include <array>
#include <cstdlib>
#include <deque>
#include <set>
#include <vector>

#include "core/record_sealer.h"
#include "core/secure_arrivals.h"

namespace p2pxbone {
namespace {

constexpr size_t stepsMax = 300;
constexpr size_t keptMax = 64;

void hold(bool condition) {
  if (!condition) std::abort();
}

class Script {
 public:
  explicit Script(std::span<const uint8_t> bytes) : rest_(bytes) {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  uint8_t byte() { return empty() ? uint8_t{0} : take(1)[0]; }
  std::span<const uint8_t> take(size_t count) {
    const auto taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const uint8_t> rest_;
};

DirectionKeys keysOf(uint8_t fill) {
  DirectionKeys keys;
  keys.key.fill(fill);
  keys.fixedNonce.fill(fill);
  return keys;
}

// One who seals for us, and our channel with him.
struct Peer {
  Peer(AssociationId id, Cipher chosen) : cipher(chosen), channel(std::make_shared<SecureChannel>(id)) { change(); }

  void change() {
    generation++;
    const auto fill = static_cast<uint8_t>(generation * 2 + channel->association);
    channel->receiveWith(std::make_shared<ReceivingKeys>(cipher, keysOf(fill)), retired);
    former = std::move(sending);
    sending = std::make_unique<SendingKeys>(cipher, keysOf(fill), 1, uint64_t{1} << 20);
    retired.clear();
  }

  const Cipher cipher;
  std::shared_ptr<SecureChannel> channel;
  std::unique_ptr<SendingKeys> sending;
  std::unique_ptr<SendingKeys> former;
  Retired retired;
  uint32_t generation = 0;
};

class Run final : private ArrivalSink {
 public:
  explicit Run(Script script) : script_(script) {
    for (uint8_t i = 0; i < endpoints_.size(); i++) {
      endpoints_[i].ip[15] = i;
      endpoints_[i].port = 1;
    }
    publish();
  }

  void all() {
    for (size_t i = 0; i < stepsMax && !script_.empty(); i++) step();
  }

 private:
  void step() {
    const uint8_t code = script_.byte();
    Peer& peer = peers_[(code >> 3) & 1];
    const Endpoint& from = endpoints_[(code >> 4) & 3];
    switch (code & 7) {
      case 0: arrive(from, {script_.take(script_.byte())}); break;
      case 1: arrive(from, seal(peer, peer.sending.get())); break;
      case 2: arrive(from, damaged(seal(peer, peer.sending.get()))); break;
      case 3: kept_.push_back(seal(peer, peer.former ? peer.former.get() : peer.sending.get())); break;
      case 4: together(from); break;
      case 5: now_ += script_.byte() * 4; break;
      case 6: again(from); break;
      default: rare(peer); break;
    }
    if (kept_.size() > keptMax) kept_.pop_front();
  }

  void rare(Peer& peer) {
    const uint8_t what = script_.byte();
    if (what % 4 == 0) peer.channel->forgetOlder(peer.retired);
    else if (what % 4 == 1) publish();
    else if (what % 4 == 2 && !peer.channel->unproven()) peer.change();
    peer.retired.clear();
  }

  // Numbered, so that what comes out is known.
  std::vector<uint8_t> seal(const Peer& peer, const SendingKeys* keys) {
    const uint8_t options = script_.byte();
    std::vector<uint8_t> content(5 + (options >> 1) * 3U, uint8_t{0});
    content[0] = (options & 1) != 0 ? 0x08 : 0x80;
    storeBe32(&content[1], ++lastNumber_);
    std::vector<uint8_t> record(content.size() + recordOverheadBytes(peer.cipher));
    record.resize(keys->seal(contentApplicationData, content, record));
    return record;
  }

  std::vector<uint8_t> damaged(std::vector<uint8_t> record) {
    record[(script_.byte() * 7U) % record.size()] ^= script_.byte();
    if (const uint8_t cut = script_.byte(); cut % 4 == 0) record.resize(record.size() * cut / 255);
    return record;
  }

  void together(const Endpoint& from) {
    std::vector<uint8_t> datagram;
    for (size_t i = script_.byte() % 4; i > 0 && !kept_.empty(); i--) {
      datagram.insert(datagram.end(), kept_.front().begin(), kept_.front().end());
      kept_.pop_front();
    }
    arrive(from, datagram);
  }

  void again(const Endpoint& from) {
    if (!kept_.empty()) arrive(from, kept_[script_.byte() % kept_.size()]);
  }

  void arrive(const Endpoint& from, std::vector<uint8_t> datagram) {
    kept_.push_back(datagram);
    // Told apart by its first byte before it comes here.
    if (datagram.empty() || datagram[0] < 20 || datagram[0] > 63) return;
    const auto directory = directory_;
    arrivals_.handle(*directory, from, datagram, now_, *this);
  }
  void arrive(const Endpoint& from, std::span<const uint8_t> bytes) { arrive(from, std::vector<uint8_t>(bytes.begin(), bytes.end())); }

  void came(std::span<const uint8_t> content, uint8_t first) {
    hold(content.size() >= 5 && content[0] == first);
    const uint32_t number = loadBe32(&content[1]);
    hold(number >= 1 && number <= lastNumber_ && numbers_.insert(number).second);
  }

  // Peer 0 at endpoint 0, peer 1 at endpoint 1 unless they have moved, a handshake at endpoint 2, nobody at endpoint 3.
  void publish() {
    directory_ = std::make_shared<const ChannelDirectory>(std::vector<ChannelDirectory::Entry>{
        {at_[0], peers_[0].channel}, {at_[1], peers_[1].channel}, {endpoints_[2], nullptr}});
  }

  void packet(const SecureChannel&, const Endpoint&, std::span<uint8_t> bytes) override { came(bytes, 0x08); }
  void record(const ControlRecord& record, const Endpoint&, std::span<const uint8_t> content) override {
    hold(record.type == contentApplicationData && (record.association == 1 || record.association == 2));
    came(content, 0x80);
  }
  void handshake(const Endpoint& from, bool known, std::span<const uint8_t> datagram) override {
    hold(isDtls(datagram) && isOfHandshake(datagram) && known == (directory_->find(from) != nullptr));
  }
  bool early(const Endpoint& from, std::span<const uint8_t> datagram) override {
    hold(from == endpoints_[2] && isDtls(datagram));
    return script_.byte() % 2 == 0;
  }
  const ChannelDirectory& directory() override { return *directory_; }
  void moved(AssociationId association, const Endpoint& to) override {
    // Told until the directory says so, which refuses an endpoint that is another peer's.
    hold(directory_->find(to) == nullptr);
    if (to != at_[2 - association]) at_[association - 1] = to;
  }
  bool proven(AssociationId association) override { return association == 1; }
  void drop(DropReason reason) override { hold(reason != DropReason::none); }

  Script script_;
  SecureArrivals arrivals_;
  std::array<Endpoint, 4> endpoints_{};
  std::array<Peer, 2> peers_{Peer{1, Cipher::aes128Gcm}, Peer{2, Cipher::chacha20Poly1305}};
  std::array<Endpoint, 2> at_{endpointNumber(0), endpointNumber(1)};
  std::shared_ptr<const ChannelDirectory> directory_;
  std::deque<std::vector<uint8_t>> kept_;
  std::set<uint32_t> numbers_;
  uint32_t lastNumber_ = 0;
  Millis now_ = 1000;

  static Endpoint endpointNumber(uint8_t number) {
    Endpoint endpoint;
    endpoint.ip[15] = number;
    endpoint.port = 1;
    return endpoint;
  }
};

}  // namespace
}  // namespace p2pxbone

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  p2pxbone::Run(p2pxbone::Script({data, size})).all();
  return 0;
}
