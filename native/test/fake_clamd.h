// A clamd that does what a test says, on a Unix socket of its own.
#pragma once

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/bytes.h"
#include "os/fd.h"

namespace p2pxbone::testing {

// A folder that goes with this.
class ScopedFolder {
 public:
  ScopedFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "p2pxbone-scan-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~ScopedFolder() { std::filesystem::remove_all(path_); }
  ScopedFolder(const ScopedFolder&) = delete;
  ScopedFolder& operator=(const ScopedFolder&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// One session's socket, as the fake sees it.
class FakeSession {
 public:
  FakeSession(UniqueFd socket, const std::atomic<bool>& stopping) : socket_(std::move(socket)), stopping_(stopping) {}

  struct Command {
    std::string name;
    std::string object;  // of INSTREAM
  };

  // nullopt when the other end has closed, or the fake stops.
  [[nodiscard]] std::optional<std::string> read(size_t count) {
    while (buffer_.size() < count) {
      if (!more()) return std::nullopt;
    }
    std::string taken = buffer_.substr(0, count);
    buffer_.erase(0, count);
    return taken;
  }
  [[nodiscard]] std::optional<std::string> readName() {
    size_t end = 0;
    while ((end = buffer_.find('\0')) == std::string::npos) {
      if (!more()) return std::nullopt;
    }
    std::string name = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    return name;
  }
  [[nodiscard]] std::optional<Command> next() {
    auto name = readName();
    if (!name) return std::nullopt;
    Command command{*name, {}};
    if (*name != "zINSTREAM") return command;
    for (;;) {
      const auto length = read(4);
      if (!length) return std::nullopt;
      const uint32_t bytes = loadBe32(reinterpret_cast<const uint8_t*>(length->data()));
      if (bytes == 0) return command;
      const auto part = read(bytes);
      if (!part) return std::nullopt;
      command.object += *part;
    }
  }
  void say(std::string_view bytes) { (void)::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // Until the other end closes, or the fake stops.
  void hang() {
    while (more()) {
    }
  }

 private:
  bool more() {
    char bytes[65536];
    while (!stopping_) {
      pollfd waited{socket_.get(), POLLIN, 0};
      if (::poll(&waited, 1, 10) <= 0) continue;
      const ssize_t count = ::recv(socket_.get(), bytes, sizeof bytes, 0);
      if (count <= 0) return false;
      buffer_.append(bytes, static_cast<size_t>(count));
      return true;
    }
    return false;
  }

  UniqueFd socket_;
  const std::atomic<bool>& stopping_;
  std::string buffer_;
};

class FakeClamd {
 public:
  // Is called for each command with its number in the session; false ends the session.
  using Answer = std::function<bool(FakeSession&, const FakeSession::Command&, const std::string& number)>;

  FakeClamd(const std::string& path, Answer answer) : answer_(std::move(answer)) {
    listener_ = UniqueFd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), address.sun_path);
    REQUIRE(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(listener_.get(), 16) == 0);
    path_ = path;
    thread_ = std::thread{[this] { accept(); }};
  }
  ~FakeClamd() {
    stopping_ = true;
    thread_.join();
    for (std::thread& session : sessions_) session.join();
    std::filesystem::remove(path_);
  }

  [[nodiscard]] int opened() const { return opened_; }

  // Answers as clamd does, which has this signature and says when something is too deep.
  static Answer honest(std::string signature) {
    return [signature = std::move(signature)](FakeSession& session, const FakeSession::Command& command,
                                              const std::string& number) {
      session.say(number + ": " + answerOf(command, signature) + '\0');
      return true;
    };
  }
  static std::string answerOf(const FakeSession::Command& command, const std::string& signature) {
    if (command.name == "zVERSION") return "ClamAV fake";
    if (command.name == "zPING") return "PONG";
    if (command.name != "zINSTREAM") return "UNKNOWN COMMAND ERROR";
    if (isProbe(command)) return "stream: Heuristics.Limits.Exceeded.MaxRecursion FOUND";
    return command.object.find(signature) == std::string::npos ? "stream: OK" : "stream: " + signature + " FOUND";
  }
  static bool isProbe(const FakeSession::Command& command) { return command.object.starts_with("PK\x03\x04"); }

 private:
  void accept() {
    while (!stopping_) {
      pollfd waited{listener_.get(), POLLIN, 0};
      if (::poll(&waited, 1, 10) <= 0) continue;
      UniqueFd socket{::accept(listener_.get(), nullptr, nullptr)};
      if (!socket.valid()) continue;
      ++opened_;
      sessions_.emplace_back([this, session = std::make_shared<FakeSession>(std::move(socket), stopping_)] { serve(*session); });
    }
  }
  void serve(FakeSession& session) {
    if (const auto first = session.readName(); first != "zIDSESSION") return;
    for (int number = 1;; ++number) {
      const auto command = session.next();
      if (!command || !answer_(session, *command, std::to_string(number))) return;
    }
  }

  Answer answer_;
  std::string path_;
  UniqueFd listener_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> opened_{0};
  std::thread thread_;
  std::vector<std::thread> sessions_;
};

}  // namespace p2pxbone::testing
