// The machine against the openssl command, over UDP on loopback and in real time.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "test/association_certificates.h"
#include "test/association_node.h"

namespace p2pxbone::testing {
namespace {

using Kind = AssociationEvent::Kind;
constexpr Millis patienceMs = 10'000;
const std::string vi = "vi-blue.example";

Millis realNow() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

Endpoint endpointOf(const sockaddr_in& address) {
  Endpoint endpoint;
  endpoint.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
  endpoint.port = ntohs(address.sin_port);
  return endpoint;
}

class UdpSocket {
 public:
  UdpSocket() : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    must(fd_ >= 0 && bind(fd_, reinterpret_cast<sockaddr*>(&address), length) == 0);
    must(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~UdpSocket() { ::close(fd_); }
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] uint16_t port() const { return port_; }

 private:
  int fd_;
  uint16_t port_ = 0;
};

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "p2pxbone-interop-XXXXXX").string();
    must(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string write(const std::string& name, const std::string& text) const {
    const auto file = path_ / name;
    std::ofstream(file) << text;
    return file.string();
  }

 private:
  std::filesystem::path path_;
};

// A child with its input and output on pipes; killed at the end of the scope.
class Child {
 public:
  explicit Child(std::vector<std::string> arguments) {
    int input[2];
    int output[2];
    must(pipe2(input, O_CLOEXEC) == 0 && pipe2(output, O_CLOEXEC) == 0);
    std::vector<char*> raw;
    for (auto& argument : arguments) raw.push_back(argument.data());
    raw.push_back(nullptr);
    pid_ = fork();
    must(pid_ >= 0);
    if (pid_ == 0) {
      dup2(input[0], 0);
      dup2(output[1], 1);
      dup2(output[1], 2);
      execvp(raw[0], raw.data());
      _exit(127);
    }
    ::close(input[0]);
    ::close(output[1]);
    input_ = input[1];
    output_ = output[0];
    must(fcntl(output_, F_SETFL, O_NONBLOCK) == 0);
  }
  ~Child() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    ::close(input_);
    ::close(output_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  void say(const std::string& line) const { must(::write(input_, line.data(), line.size()) == static_cast<ssize_t>(line.size())); }
  [[nodiscard]] const std::string& heard() {
    char buffer[4096];
    for (ssize_t bytes = 0; (bytes = ::read(output_, buffer, sizeof buffer)) > 0;) heard_.append(buffer, static_cast<size_t>(bytes));
    return heard_;
  }

 private:
  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  std::string heard_;
};

struct Interop {
  UdpSocket udp;
  TemporaryFolder folder;
  Authority authority{"authority"};
  AssociationNode node{AssociationSettings{.silence = 60'000, .handshakeTimeout = 60'000, .seed = 1}};
  AssociationMachine& machine = node.machine;
  std::vector<AssociationEvent> events;
  size_t largestSent = 0;

  Interop() { REQUIRE_FALSE(authority.equip(machine, vi)); }

  std::vector<std::string> command(const std::string& tool, const std::vector<std::string>& more) {
    const PemIdentity identity = authority.issue("openssl");
    std::vector<std::string> arguments{"openssl", tool, "-dtls1_2", "-quiet", "-verify_return_error"};
    arguments.insert(arguments.end(), {"-cert", folder.write("certificate.pem", identity.certificate)});
    arguments.insert(arguments.end(), {"-key", folder.write("key.pem", identity.privateKey)});
    arguments.insert(arguments.end(), {"-CAfile", folder.write("ca.pem", authority.pem())});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  [[nodiscard]] const AssociationEvent* first(Kind kind) const {
    for (const auto& event : events) {
      if (event.kind == kind) return &event;
    }
    return nullptr;
  }

  void turn() {
    pollfd waiting{udp.fd(), POLLIN, 0};
    ::poll(&waiting, 1, 10);
    uint8_t buffer[2048];
    sockaddr_in from{};
    socklen_t length = sizeof from;
    ssize_t bytes = 0;
    while ((bytes = recvfrom(udp.fd(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &length)) > 0) {
      node.receive(endpointOf(from), {buffer, static_cast<size_t>(bytes)}, realNow());
      node.publish();
    }
    machine.tick(realNow());
    node.publish();
    while (const auto transmit = machine.pollTransmit()) {
      const sockaddr_in to = loopback(transmit->peer.port);
      largestSent = std::max(largestSent, transmit->datagram.size());
      sendto(udp.fd(), transmit->datagram.data(), transmit->datagram.size(), 0, reinterpret_cast<const sockaddr*>(&to),
             sizeof to);
    }
    while (auto event = machine.pollEvent()) events.push_back(std::move(*event));
  }

  template <typename Done>
  bool until(Done done) {
    for (const Millis end = realNow() + patienceMs; realNow() < end;) {
      turn();
      if (done()) return true;
    }
    return false;
  }

  // Both ways: a control message each.
  void talk(Child& child) {
    REQUIRE(until([&] { return first(Kind::up) != nullptr; }));
    const AssociationId id = first(Kind::up)->association;
    const std::string greeting = "\x80greeting\n";
    CHECK(machine.send(id, {reinterpret_cast<const uint8_t*>(greeting.data()), greeting.size()}, realNow()));
    CHECK(until([&] { return child.heard().find("greeting") != std::string::npos; }));
    child.say("\x81reply\n");
    REQUIRE(until([&] { return first(Kind::control) != nullptr; }));
    const auto& bytes = first(Kind::control)->bytes;
    CHECK(std::string(bytes.begin(), bytes.end()) == "\x81reply\n");
    CHECK(machine.drops().badRecord == 0);
    CHECK(node.droppedInAll() == 0);
  }
};

bool opensslMissing() {
  if (std::system("openssl version >/dev/null 2>&1") == 0) return false;
  MESSAGE("skipped: needs the openssl command");
  return true;
}

TEST_CASE("openssl s_client can join and leave") {
  if (opensslMissing()) return;
  signal(SIGPIPE, SIG_IGN);
  for (const char* suite : {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"}) {
    CAPTURE(suite);
    Interop interop;
    const std::string server = "127.0.0.1:" + std::to_string(interop.udp.port());
    Child client(interop.command("s_client", {"-connect", server, "-servername", vi, "-cipher", suite, "-mtu", "1200"}));
    interop.talk(client);
    CHECK(interop.first(Kind::up)->role == Role::server);
    const AssociationId id = interop.first(Kind::up)->association;
    // A probe is as large as it means to be, with every cipher; the client does not answer it.
    CHECK(interop.largestSent == AssociationSettings{}.payloadBytesLimit);
    CHECK(interop.machine.states(realNow()).at(0).payloadBytesMax == 1252);
    interop.machine.close(id, realNow());
    CHECK(interop.until([&] { return interop.first(Kind::down) != nullptr; }));
    CHECK(interop.first(Kind::down)->reason == DownReason::closed);
  }
}

TEST_CASE("openssl s_server can be joined") {
  if (opensslMissing()) return;
  signal(SIGPIPE, SIG_IGN);
  Interop interop;
  // A port that was free a moment ago.
  const uint16_t port = UdpSocket().port();
  Child server(interop.command("s_server", {"-accept", std::to_string(port), "-Verify", "2", "-listen", "-mtu", "1200", "-4"}));
  const auto id = interop.machine.associate(endpointOf(loopback(port)), vi, realNow());
  REQUIRE(id);
  interop.talk(server);
  CHECK(interop.first(Kind::up)->association == *id);
  CHECK(interop.first(Kind::up)->role == Role::client);
}

TEST_CASE("openssl s_client without a certificate, or with an older version, gets nowhere") {
  if (opensslMissing()) return;
  signal(SIGPIPE, SIG_IGN);
  Interop interop;
  const std::string server = "127.0.0.1:" + std::to_string(interop.udp.port());
  std::vector<std::string> arguments{"openssl", "s_client", "-quiet", "-connect", server, "-servername", vi};
  SUBCASE("no certificate") { arguments.push_back("-dtls1_2"); }
  SUBCASE("DTLS 1.0") {
    arguments.push_back("-dtls1");
    arguments.insert(arguments.end(), {"-cipher", "ALL:@SECLEVEL=0"});
  }
  Child client(arguments);
  CHECK(interop.until([&] { return client.heard().find("alert") != std::string::npos; }));
  CHECK(interop.events.empty());
  CHECK(interop.machine.states(realNow()).empty());
}

}  // namespace
}  // namespace p2pxbone::testing
