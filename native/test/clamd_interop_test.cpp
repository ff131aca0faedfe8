// The client of clamd, and scans of files over it, against the real one with a small database of its own.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <fstream>

#include "gateway/scanning/nested_archive.h"
#include "gateway/test/scan_world.h"
#include "os/clamd_scanner.h"
#include "os/thread.h"
#include "test/fake_clamd.h"

extern char** environ;

namespace p2pxbone::testing {
namespace {

using gateway::ScanAnswer;
using gateway::ScanDesk;
using gateway::ScanFinding;
using gateway::ScanResult;
using gateway::ScanRoom;
using gateway::testing::ScannedTransfer;
using Kind = ScanResult::Kind;
using State = ClamdStatus::State;
using namespace std::string_literals;

constexpr const char* kClamd = "/usr/sbin/clamd";
constexpr Millis kPatience = 60'000;

// The test signature of all virus scanners, in two halves so that no scanner finds it here.
std::string eicar() { return R"(X5O!P%@AP[4\PZX54(P^)7CC)7}$EIC)"s + R"(AR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*)"s; }

std::string hexOf(const std::string& bytes) {
  std::string hex;
  for (const char c : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    hex += kDigits[static_cast<uint8_t>(c) >> 4];
    hex += kDigits[c & 15];
  }
  return hex;
}

void pause(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds{ms}); }

// A clamd of this test's own. It never asks for other databases.
class RealClamd {
 public:
  explicit RealClamd(const std::string& options = "AlertExceedsMax yes\n") {
    std::filesystem::create_directory(folder_ / "database");
    std::ofstream{folder_ / "database/test.ndb"} << "Test.Eicar:0:*:" << hexOf(eicar()) << '\n';
    std::ofstream{folder_ / "clamd.conf"} << "Foreground yes\nDatabaseDirectory " << (folder_ / "database") << "\nLocalSocket "
                                          << socket() << "\nTemporaryDirectory " << (folder_ / "") << '\n'
                                          << options;
    start();
  }
  ~RealClamd() { stop(); }

  [[nodiscard]] std::string socket() const { return folder_ / "clamd.ctl"; }
  [[nodiscard]] const ScopedFolder& folder() const { return folder_; }
  void start() {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const std::string log = folder_ / "output";
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    std::string program = kClamd;
    std::string option = "--config-file=" + (folder_ / "clamd.conf");
    char* const arguments[] = {program.data(), option.data(), nullptr};
    REQUIRE(::posix_spawn(&process_, kClamd, &actions, nullptr, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  void stop() {
    if (process_ == 0) return;
    ::kill(process_, SIGTERM);
    ::waitpid(process_, nullptr, 0);
    process_ = 0;
  }

 private:
  ScopedFolder folder_;
  pid_t process_ = 0;
};

bool isInstalled() {
  if (std::filesystem::exists(kClamd)) return true;
  MESSAGE("clamd is not installed, so nothing was tested with it: apt-get install clamav-daemon");
  return false;
}

struct Rig {
  explicit Rig(const std::string& options = "AlertExceedsMax yes\n", ClamdSettings settings = {}) : clamd(options) {
    settings.address = clamd.socket();
    std::string error;
    scanner = ClamdScanner::make(settings, error);
    REQUIRE(scanner != nullptr);
    // clamd reads its database first.
    for (const Millis end = monotonicNow() + kPatience; monotonicNow() < end; pause(5)) {
      if (std::filesystem::exists(clamd.socket())) break;
    }
    REQUIRE(scanner->start() == 0);
  }

  ScanResult scan(std::string_view object) {
    const auto job = scanner->begin();
    REQUIRE(job);
    const std::span<const uint8_t> bytes{reinterpret_cast<const uint8_t*>(object.data()), object.size()};
    REQUIRE(scanner->data(*job, bytes) == ScanRoom::plenty);
    scanner->finish(*job);
    for (const Millis end = monotonicNow() + kPatience; monotonicNow() < end; pause(2)) {
      if (auto result = scanner->poll()) return *result;
    }
    return {*job, Kind::failed, "no result"};
  }
  State waitFor(State wanted) {
    for (const Millis end = monotonicNow() + kPatience; monotonicNow() < end && scanner->status().state != wanted;) pause(5);
    return scanner->status().state;
  }

  RealClamd clamd;
  std::unique_ptr<ClamdScanner> scanner;
};

// The file in packets of `packetBytes`, until it has arrived or was cut.
void transfer(ScannedTransfer& way, const std::string& file, size_t packetBytes) {
  for (size_t at = 0; at < file.size(); at += packetBytes) {
    const std::string packet = file.substr(at, packetBytes);
    if (at + packetBytes >= file.size()) {
      way.sendLast(packet, monotonicNow());
    } else {
      way.send(packet, monotonicNow());
    }
    way.poll(monotonicNow());
  }
  for (const Millis end = monotonicNow() + kPatience; monotonicNow() < end && !way.over() && !way.cut(); pause(2))
    way.poll(monotonicNow());
}

std::string random(size_t bytes) {
  std::string text(bytes, '\0');
  uint32_t state = 12345;
  for (char& c : text) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return text;
}

std::string packed(const ScopedFolder& folder, const std::string& content) {
  std::ofstream{folder / "content", std::ios::binary} << content;
  REQUIRE(std::system(("gzip -f " + (folder / "content")).c_str()) == 0);
  std::ifstream file{folder / "content.gz", std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

TEST_CASE("the real clamd finds its test signature, alone and within") {
  if (!isInstalled()) return;
  Rig rig;
  CHECK(rig.scan("harmless").kind == Kind::clean);
  for (const std::string& object : {eicar(), random(100'000) + eicar() + random(5), packed(rig.clamd.folder(), eicar())}) {
    const ScanResult result = rig.scan(object);
    CHECK(result.kind == Kind::infected);
    CHECK(result.text == "Test.Eicar.UNOFFICIAL");
  }
  CHECK(rig.scan(random(5'000'000)).kind == Kind::clean);
  CHECK(rig.scan("").kind == Kind::clean);
  CHECK(rig.waitFor(State::up) == State::up);
  CHECK(rig.scanner->status().version.starts_with("ClamAV "));
  CHECK(rig.scanner->status().limitAlerts == true);
  CHECK(rig.scanner->counters().connects.get() <= 4);
}

TEST_CASE("many objects at the same time are not mixed up by the real clamd") {
  if (!isInstalled()) return;
  Rig rig;
  std::unordered_map<uint64_t, bool> infected;
  for (int i = 0; i < 200; ++i) {
    const auto job = rig.scanner->begin();
    REQUIRE(job);
    const std::string object = random(static_cast<size_t>(i) * 500) + (i % 3 == 0 ? eicar() : "");
    REQUIRE(rig.scanner->data(*job, gateway::bytesOf(object)) == ScanRoom::plenty);
    rig.scanner->finish(*job);
    infected[job->id] = i % 3 == 0;
  }
  for (const Millis end = monotonicNow() + kPatience; monotonicNow() < end && !infected.empty();) {
    const auto result = rig.scanner->poll();
    if (!result) {
      pause(2);
      continue;
    }
    CHECK(result->kind == (infected.at(result->job.id) ? Kind::infected : Kind::clean));
    infected.erase(result->job.id);
  }
  CHECK(infected.empty());
}

TEST_CASE("files on their way: the signature across buffers, in an archive, and at the very end") {
  if (!isInstalled()) return;
  Rig rig;
  gateway::ScanSettings settings;
  settings.bufferBytes = 10'000;
  ScanDesk desk{*rig.scanner, settings, {}};
  const auto arrives = [&](const std::string& file, bool sizeKnown = true) {
    ScannedTransfer way{desk, {.size = sizeKnown ? std::optional<uint64_t>{file.size()} : std::nullopt}};
    transfer(way, file, 1460);
    if (way.over()) {
      CHECK(way.received() == file);
    } else {
      CHECK(way.scan().finding().kind == ScanFinding::Kind::infected);
      CHECK(way.received().size() < file.size());
    }
    return way.over();
  };
  CHECK(arrives(random(300'000)));
  CHECK(arrives(random(300'000), false));
  for (size_t before = 10'000 - 67; before < 10'000; before += 11) CHECK(!arrives(random(before) + eicar() + random(50'000)));
  CHECK(!arrives(random(100'000) + eicar()));
  CHECK(!arrives(random(100'000) + eicar(), false));
  const std::string archive = packed(rig.clamd.folder(), random(200'000) + eicar());
  CHECK(!arrives(archive));
  CHECK(arrives(packed(rig.clamd.folder(), random(200'000))));
  // What the whole object is for.
  CHECK(rig.scan(archive.substr(0, archive.size() / 2)).kind == Kind::clean);
}

TEST_CASE("what the real clamd does not scan to its end is too big, not clean") {
  if (!isInstalled()) return;
  Rig rig{"AlertExceedsMax yes\nMaxFileSize 500K\nStreamMaxLength 2M\nMaxRecursion 100\n"};
  CHECK(rig.scan(random(400'000)).kind == Kind::clean);
  CHECK(rig.scan(random(600'000)).kind == Kind::tooBig);
  CHECK(rig.scan(random(5'000'000)).kind == Kind::tooBig);
  CHECK(rig.scan(eicar()).kind == Kind::infected);
  const auto nested = gateway::nestedArchive(50);
  CHECK(rig.scan({reinterpret_cast<const char*>(nested.data()), nested.size()}).kind == Kind::clean);
}

TEST_CASE("the real clamd as it is configured by default is found out") {
  if (!isInstalled()) return;
  Rig rig{"MaxFileSize 500K\n"};
  CHECK(rig.waitFor(State::unfit) == State::unfit);
  CHECK(rig.scan("harmless").kind == Kind::failed);
  Rig trusting{"MaxFileSize 500K\n", {.requireLimitAlerts = false}};
  CHECK(trusting.scan(random(600'000) + eicar()).kind == Kind::clean);
}

TEST_CASE("the real clamd by TCP, which may refuse") {
  if (!isInstalled()) return;
  // A port that is free now.
  uint16_t port = 0;
  {
    const UniqueFd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), bytes) == 0);
    REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &bytes) == 0);
    port = ntohs(address.sin_port);
  }
  Rig rig{"AlertExceedsMax yes\nTCPAddr 127.0.0.1\nTCPSocket " + std::to_string(port) + "\n"};
  std::string error;
  rig.scanner = ClamdScanner::make({.address = "127.0.0.1:" + std::to_string(port)}, error);
  REQUIRE(rig.scanner != nullptr);
  REQUIRE(rig.scanner->start() == 0);
  CHECK(rig.scan(random(3'000'000)).kind == Kind::clean);
  CHECK(rig.scan(eicar()).kind == Kind::infected);
  rig.clamd.stop();
  const ScanResult absent = rig.scan("x");
  CHECK(absent.kind == Kind::failed);
  CHECK(absent.text.find("Connection refused") != std::string::npos);
}

TEST_CASE("a real clamd may be stopped and started again") {
  if (!isInstalled()) return;
  Rig rig;
  CHECK(rig.scan(eicar()).kind == Kind::infected);
  rig.clamd.stop();
  rig.clamd.start();
  CHECK(rig.scan(eicar()).kind == Kind::infected);
  rig.clamd.stop();
  CHECK(rig.scan("x").kind == Kind::failed);
}

}  // namespace
}  // namespace p2pxbone::testing
