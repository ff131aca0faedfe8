#include "os/memory_platform.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "core/segment.h"

namespace p2pxbone {
namespace {

// What the packets of a frame look like when the kernel has done what was left to it.
std::deque<std::vector<uint8_t>> cutUp(MemoryHost::Frame frame) {
  InnerPacket ip;
  const std::span<uint8_t> inner = std::span{frame.bytes}.subspan(std::min(kEthernetBytes, frame.bytes.size()));
  const bool plain = frame.offload == Offload{} || parseInner(inner, ip) != DropReason::none;
  const std::optional<Division> division = plain ? std::nullopt : divide(frame.offload, ip, inner.first(ip.totalBytes));
  if (!division) return {std::move(frame.bytes)};
  if (frame.offload.kind == Offload::Kind::none) {
    completeChecksum(frame.offload, ip, inner.first(ip.totalBytes));
    return {std::move(frame.bytes)};
  }
  std::array<uint8_t, kEncapsulationBytes> encapsulation{};
  std::copy_n(frame.bytes.begin(), kEthernetBytes, encapsulation.begin() + kVxlanBytes);
  std::vector<uint8_t> room(segmentedBytes(*division));
  std::deque<std::vector<uint8_t>> packets;
  segment(encapsulation, inner.first(ip.totalBytes), ip, *division, room.data())
      .forEach([&](std::span<const uint8_t> packet) { packets.emplace_back(packet.begin() + kVxlanBytes, packet.end()); });
  return packets;
}

}  // namespace

class MemoryTap final : public TapDevice {
 public:
  MemoryTap(std::shared_ptr<MemoryHost> host, OffloadFeatures features) : host_(std::move(host)), features_(features) {}

  using TapDevice::wait;
  bool wait(const Wakeup* call) override { return waitReadable(host_->planeReadable_.fd(), stop_, call); }
  OffloadFeatures features() const override { return features_; }
  int descriptor() const override { return -1; }
  void stop() override { stop_.signal(); }
  bool stopped() const override { return stop_.signalled(); }

  int read(std::span<TapSlot> slots) override {
    const std::lock_guard lock{host_->mutex_};
    if (host_->removed_) return -EBADFD;
    host_->planeReadable_.drain();
    int count = 0;
    for (TapSlot& slot : slots) {
      if (host_->toPlane_.empty()) return count;
      const MemoryHost::Frame& frame = host_->toPlane_.front();
      slot.length = std::min(frame.bytes.size(), slot.room.size());
      std::copy_n(frame.bytes.begin(), slot.length, slot.room.begin());
      slot.offload = frame.offload;
      slot.malformed = false;
      host_->toPlane_.pop_front();
      ++count;
    }
    if (!host_->toPlane_.empty()) host_->planeReadable_.signal();
    return count;
  }

  int write(const TapFrame& frame) override {
    const std::lock_guard writing{host_->writing_};
    const std::lock_guard lock{host_->mutex_};
    if (host_->removed_) return EBADFD;
    if (host_->toHost_.size() >= MemoryHost::kFramesMax) return ENOBUFS;
    MemoryHost::Frame& written = host_->toHost_.emplace_back();
    for (const std::span<const uint8_t> piece : frame.pieces) {
      written.bytes.insert(written.bytes.end(), piece.begin(), piece.end());
    }
    written.offload = frame.offload;
    host_->hostReadable_.signal();
    return 0;
  }

 private:
  std::shared_ptr<MemoryHost> host_;
  const OffloadFeatures features_;
  Wakeup stop_;
};

bool MemoryHost::inject(std::span<const uint8_t> frame, const Offload& offload) {
  const std::lock_guard lock{mutex_};
  if (toPlane_.size() >= kFramesMax) return false;
  toPlane_.push_back({{frame.begin(), frame.end()}, offload});
  planeReadable_.signal();
  return true;
}

std::optional<std::vector<uint8_t>> MemoryHost::receive(int timeoutMs) {
  if (cut_.empty()) {
    std::optional<Frame> frame = receiveAsWritten(timeoutMs);
    if (!frame) return std::nullopt;
    cut_ = cutUp(std::move(*frame));
  }
  std::vector<uint8_t> packet = std::move(cut_.front());
  cut_.pop_front();
  return packet;
}

std::optional<MemoryHost::Frame> MemoryHost::receiveAsWritten(int timeoutMs) {
  for (;;) {
    {
      const std::lock_guard lock{mutex_};
      hostReadable_.drain();
      if (!toHost_.empty()) {
        Frame frame = std::move(toHost_.front());
        toHost_.pop_front();
        return frame;
      }
    }
    pollfd waited{hostReadable_.fd(), POLLIN, 0};
    if (::poll(&waited, 1, timeoutMs) <= 0) return std::nullopt;
  }
}

void MemoryHost::remove() {
  const std::lock_guard lock{mutex_};
  removed_ = true;
  planeReadable_.signal();
}

void MemoryHost::hold() { writing_.lock(); }
void MemoryHost::release() { writing_.unlock(); }

class MemoryUnderlay final : public UnderlaySocket {
 public:
  MemoryUnderlay(MemoryNetwork& network, Endpoint local, std::shared_ptr<MemoryNetwork::Mailbox> mailbox)
      : network_(network), local_(local), mailbox_(std::move(mailbox)) {}
  ~MemoryUnderlay() override { network_.close(local_); }

  Endpoint local() const override { return local_; }
  using UnderlaySocket::wait;
  bool wait(const Wakeup* call) override { return waitReadable(mailbox_->readable.fd(), stop_, call); }
  void stop() override { stop_.signal(); }
  bool stopped() const override { return stop_.signalled(); }
  // A full mailbox loses silently; tests look for it where the packets are missing.
  uint64_t overflows() const override { return 0; }

  size_t receive(std::span<DatagramSlot> slots) override {
    const std::lock_guard lock{mailbox_->mutex};
    mailbox_->readable.drain();
    size_t count = 0;
    while (count < slots.size() && !mailbox_->datagrams.empty()) take(slots[count++]);
    if (!mailbox_->datagrams.empty()) mailbox_->readable.signal();
    return count;
  }

  void send(std::span<MessageOut> messages, SendPatience) override {
    for (MessageOut& message : messages) {
      for (const std::span<const uint8_t> piece : message.pieces) {
        ConstDatagramRun{piece, message.segmentBytes}.forEach([&](std::span<const uint8_t> datagram) {
          const int error = network_.deliver(local_, message.to, datagram);
          if (error == 0) return;
          ++message.failed;
          message.failedBytes += datagram.size();
          message.error = error;
        });
      }
    }
  }

 private:
  // The first datagram, and those after it that are joined with it.
  void take(DatagramSlot& slot) {
    auto& waiting = mailbox_->datagrams;
    const Endpoint from = waiting.front().first;
    const size_t segmentBytes = waiting.front().second.size();
    const bool joins = network_.joins_.load() && segmentBytes > 0;
    size_t length = 0;
    size_t datagrams = 0;
    slot.truncated = false;
    do {
      const std::vector<uint8_t>& bytes = waiting.front().second;
      const size_t taken = std::min(bytes.size(), slot.room.size() - length);
      slot.truncated = slot.truncated || taken < bytes.size();
      std::copy_n(bytes.begin(), taken, slot.room.begin() + static_cast<ptrdiff_t>(length));
      length += taken;
      waiting.pop_front();
      ++datagrams;
    } while (joins && datagrams < kMessageDatagramsMax && length == datagrams * segmentBytes && !waiting.empty() &&
             waiting.front().first == from && !waiting.front().second.empty() &&
             waiting.front().second.size() <= segmentBytes && length + segmentBytes <= kMessageBytesMax);
    slot.from = from;
    slot.run = {slot.room.first(length), std::max<size_t>(segmentBytes, 1)};
  }

  MemoryNetwork& network_;
  const Endpoint local_;
  std::shared_ptr<MemoryNetwork::Mailbox> mailbox_;
  Wakeup stop_;
};

std::shared_ptr<MemoryNetwork::Mailbox> MemoryNetwork::open(Endpoint& local) {
  const std::lock_guard lock{mutex_};
  if (local.port == 0) local.port = nextPort_++;
  const auto [entry, fresh] = mailboxes_.try_emplace({local.ip, local.port}, std::make_shared<Mailbox>());
  return fresh ? entry->second : nullptr;
}

void MemoryNetwork::close(const Endpoint& local) {
  const std::lock_guard lock{mutex_};
  mailboxes_.erase({local.ip, local.port});
}

void MemoryNetwork::joinDatagrams(bool joins) { joins_.store(joins); }

void MemoryNetwork::limitPayload(size_t bytes) {
  const std::lock_guard lock{mutex_};
  payloadMax_ = bytes;
}

void MemoryNetwork::watch(Watcher watcher) {
  const std::lock_guard lock{mutex_};
  watcher_ = std::move(watcher);
}

int MemoryNetwork::deliver(const Endpoint& from, const Endpoint& to, std::span<const uint8_t> bytes) {
  std::shared_ptr<Mailbox> mailbox;
  {
    const std::lock_guard lock{mutex_};
    if (bytes.size() > payloadMax_) return EMSGSIZE;
    const auto found = mailboxes_.find({to.ip, to.port});
    if (found == mailboxes_.end()) return ENETUNREACH;
    mailbox = found->second;
    if (watcher_) watcher_(from, to, bytes);
  }
  const std::lock_guard lock{mailbox->mutex};
  // As a full receive buffer does: the sender does not hear of it.
  if (mailbox->datagrams.size() >= kDatagramsMax) return 0;
  mailbox->datagrams.emplace_back(from, std::vector<uint8_t>{bytes.begin(), bytes.end()});
  mailbox->readable.signal();
  return 0;
}

TapOutcome MemoryPlatform::openTap(const TapOptions& options) {
  const auto host = std::make_shared<MemoryHost>();
  hosts_[options.name] = host;
  return std::make_unique<MemoryTap>(host, features_);
}

UnderlayOutcome MemoryPlatform::openUnderlay(const Endpoint& local, uint64_t) {
  Endpoint bound = local;
  const auto mailbox = network_.open(bound);
  if (mailbox == nullptr) return EADDRINUSE;
  return std::make_unique<MemoryUnderlay>(network_, bound, mailbox);
}

std::shared_ptr<MemoryHost> MemoryPlatform::host(const std::string& name) {
  const auto found = hosts_.find(name);
  return found == hosts_.end() ? nullptr : found->second;
}

}  // namespace p2pxbone
