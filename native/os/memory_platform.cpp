#include "os/memory_platform.h"

#include <poll.h>

#include <cerrno>

namespace p2pxbone {

class MemoryTap final : public TapDevice {
 public:
  explicit MemoryTap(std::shared_ptr<MemoryHost> host) : host_(std::move(host)) {}

  bool wait() override { return waitReadable(host_->planeReadable_.fd(), stop_); }
  void stop() override { stop_.signal(); }

  int read(std::span<TapSlot> slots) override {
    const std::lock_guard lock{host_->mutex_};
    if (host_->removed_) return -EBADFD;
    host_->planeReadable_.drain();
    int count = 0;
    for (TapSlot& slot : slots) {
      if (host_->toPlane_.empty()) return count;
      const std::vector<uint8_t>& frame = host_->toPlane_.front();
      slot.length = std::min(frame.size(), slot.room.size());
      std::copy_n(frame.begin(), slot.length, slot.room.begin());
      host_->toPlane_.pop_front();
      ++count;
    }
    if (!host_->toPlane_.empty()) host_->planeReadable_.signal();
    return count;
  }

  int write(std::span<const uint8_t> frame) override {
    const std::lock_guard writing{host_->writing_};
    const std::lock_guard lock{host_->mutex_};
    if (host_->removed_) return EBADFD;
    if (host_->toHost_.size() >= MemoryHost::kFramesMax) return ENOBUFS;
    host_->toHost_.emplace_back(frame.begin(), frame.end());
    host_->hostReadable_.signal();
    return 0;
  }

 private:
  std::shared_ptr<MemoryHost> host_;
  Wakeup stop_;
};

bool MemoryHost::inject(std::span<const uint8_t> frame) {
  const std::lock_guard lock{mutex_};
  if (toPlane_.size() >= kFramesMax) return false;
  toPlane_.emplace_back(frame.begin(), frame.end());
  planeReadable_.signal();
  return true;
}

std::optional<std::vector<uint8_t>> MemoryHost::receive(int timeoutMs) {
  for (;;) {
    {
      const std::lock_guard lock{mutex_};
      hostReadable_.drain();
      if (!toHost_.empty()) {
        std::vector<uint8_t> frame = std::move(toHost_.front());
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
  bool wait() override { return waitReadable(mailbox_->readable.fd(), stop_); }
  void stop() override { stop_.signal(); }

  size_t receive(std::span<DatagramSlot> slots) override {
    const std::lock_guard lock{mailbox_->mutex};
    mailbox_->readable.drain();
    size_t count = 0;
    while (count < slots.size() && !mailbox_->datagrams.empty()) {
      const auto& [from, bytes] = mailbox_->datagrams.front();
      DatagramSlot& slot = slots[count++];
      slot.length = std::min(bytes.size(), slot.room.size());
      slot.truncated = slot.length < bytes.size();
      slot.from = from;
      std::copy_n(bytes.begin(), slot.length, slot.room.begin());
      mailbox_->datagrams.pop_front();
    }
    if (!mailbox_->datagrams.empty()) mailbox_->readable.signal();
    return count;
  }

  void send(std::span<DatagramOut> datagrams) override {
    for (DatagramOut& datagram : datagrams) datagram.error = network_.deliver(local_, datagram.to, datagram.bytes);
  }

 private:
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

void MemoryNetwork::limitPayload(size_t bytes) {
  const std::lock_guard lock{mutex_};
  payloadMax_ = bytes;
}

int MemoryNetwork::deliver(const Endpoint& from, const Endpoint& to, std::span<const uint8_t> bytes) {
  std::shared_ptr<Mailbox> mailbox;
  {
    const std::lock_guard lock{mutex_};
    if (bytes.size() > payloadMax_) return EMSGSIZE;
    const auto found = mailboxes_.find({to.ip, to.port});
    if (found == mailboxes_.end()) return ENETUNREACH;
    mailbox = found->second;
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
  return std::make_unique<MemoryTap>(host);
}

UnderlayOutcome MemoryPlatform::openUnderlay(const Endpoint& local) {
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
