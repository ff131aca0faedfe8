// One session with clamd: one command at a time, and its reply. Never blocks; its thread polls the descriptor.
#pragma once

#include <sys/uio.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/scanning/clamd_reply.h"
#include "os/clamd_address.h"
#include "os/scan_object.h"

namespace p2pxbone {

class ClamdConnection {
 public:
  struct Outcome {
    // The session is of no more use; `reply` means nothing.
    bool broken = false;
    std::string why;
    gateway::ClamdReply reply;
  };

  // 0 or an errno. Must be closed.
  [[nodiscard]] int open(const ClamdAddress& address);
  void close();
  [[nodiscard]] bool isOpen() const { return socket_.valid(); }
  [[nodiscard]] bool isBusy() const { return busy_; }
  // It has answered before, so that clamd may have ended it meanwhile for being idle.
  [[nodiscard]] bool wasUsed() const { return answered_ > 0; }

  // A command, or an object to be scanned, which must live until there is an outcome. Must be open and not busy. The outcome
  // comes from ready(), which may be called at once.
  void send(std::string_view command);
  void send(const ScanObject& object);

  [[nodiscard]] int descriptor() const { return socket_.get(); }
  // What to poll for.
  [[nodiscard]] short events() const;
  // Of the command under way, or that the session has ended without one. nullopt: nothing yet.
  [[nodiscard]] std::optional<Outcome> ready(short events);

 private:
  void begin(std::string_view command);
  void add(const void* bytes, size_t count);
  [[nodiscard]] std::optional<Outcome> write();
  [[nodiscard]] std::optional<Outcome> read();
  [[nodiscard]] Outcome accept(gateway::ClamdReply reply, bool moreBehind);
  [[nodiscard]] Outcome broken(std::string why);
  [[nodiscard]] bool allSent() const { return next_ == pieces_.size(); }

  UniqueFd socket_;
  bool connecting_ = false;
  bool busy_ = false;
  bool refused_ = false;  // clamd takes no more of the command; its reply may still come
  uint32_t sent_ = 0;
  uint32_t answered_ = 0;
  std::string command_;
  std::vector<uint32_t> lengths_;  // in network order
  std::vector<iovec> pieces_;
  size_t next_ = 0;
  gateway::ClamdReplyReader reader_;
};

}  // namespace p2pxbone
