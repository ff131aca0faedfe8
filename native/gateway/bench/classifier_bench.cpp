// What classification costs: time for each packet until a flow is decided, and memory of a flow meanwhile.
// Usage: p2pxbone_gateway_bench SIGNATURE_FOLDER [SECONDS_PER_CASE]
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "gateway/classifier.h"

namespace {

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using Bytes = std::vector<uint8_t>;

struct Case {
  const char* name;
  bool datagrams;
  std::vector<std::pair<Side, Bytes>> packets;
};

Bytes bytesOf(std::string_view text) { return {text.begin(), text.end()}; }

Bytes randomBytes(size_t count) {
  static std::mt19937 random{1};
  Bytes bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

Bytes dnsQuery() {
  return {0x4d, 0x15, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'w', 'w', 'w', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'o', 'r', 'g', 0, 0, 1, 0, 1};
}

// Of TLS 1.3, with a server's name, and padded to the size of a browser's.
Bytes clientHello() {
  constexpr uint8_t bodyBytes = 250;
  Bytes body{3, 3};
  body.resize(34, 7);
  const Bytes middle{0, 0, 6, 0x13, 1, 0x13, 2, 0x13, 3, 1, 0};
  const Bytes extensions{0, 0, 0, 16, 0, 14, 0, 0, 11, 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'o', 'r', 'g', 0, 43, 0, 3, 2, 3, 4, 0, 21};
  body.insert(body.end(), middle.begin(), middle.end());
  body.insert(body.end(), {0, static_cast<uint8_t>(bodyBytes - body.size() - 2)});
  body.insert(body.end(), extensions.begin(), extensions.end());
  body.insert(body.end(), {0, static_cast<uint8_t>(bodyBytes - body.size() - 2)});
  body.resize(bodyBytes);
  Bytes record{22, 3, 1, 0, bodyBytes + 4, 1, 0, 0, bodyBytes};
  record.insert(record.end(), body.begin(), body.end());
  return record;
}

std::vector<Case> cases() {
  const std::string_view request =
      "GET /files/archive-2.tar.gz HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
      "Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\nConnection: keep-alive\r\nCookie: session=abcdef\r\n\r\n";
  std::vector<Case> all{
      {"HTTP request", false, {{Side::initiator, bytesOf(request)}}},
      {"TLS hello", false, {{Side::initiator, clientHello()}}},
      {"BitTorrent handshake", false, {{Side::initiator, bytesOf("\x13" "BitTorrent protocol" + std::string(48, 'x'))}}},
      {"BitTorrent encrypted", false,
       {{Side::initiator, randomBytes(300)}, {Side::responder, randomBytes(250)}, {Side::initiator, randomBytes(400)}}},
      {"SSH", false, {{Side::responder, bytesOf("SSH-2.0-OpenSSH_9.2\r\n")}}},
      {"DNS", true, {{Side::initiator, dnsQuery()}}},
  };
  Case unknown{"unknown, 8 full packets", false, {}};
  Case text{"unknown text, 8 full packets", false, {}};
  Case datagrams{"unknown, 8 datagrams", true, {}};
  for (int i = 0; i < 8; ++i) {
    const Side side = i % 2 == 0 ? Side::initiator : Side::responder;
    unknown.packets.emplace_back(side, randomBytes(1460));
    datagrams.packets.emplace_back(side, randomBytes(1200));
    Bytes letters = randomBytes(1460);
    for (uint8_t& byte : letters) byte = static_cast<uint8_t>('a' + byte % 26);
    text.packets.emplace_back(side, std::move(letters));
  }
  for (Case* more : {&unknown, &text, &datagrams}) all.push_back(std::move(*more));
  return all;
}

std::vector<Signature> readAll(const std::filesystem::path& folder) {
  std::vector<Signature> signatures;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    auto read = readSignature(entry.path().filename().string(), text);
    if (auto* signature = std::get_if<Signature>(&read)) signatures.push_back(std::move(*signature));
    else std::fprintf(stderr, "%s\n", std::get<SignatureError>(read).text().c_str());
  }
  return signatures;
}

// Time of this process, not of the machine that others may use too.
double processSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

void measure(const std::shared_ptr<const SignatureSet>& signatures, const Case& flow, double seconds) {
  // A cache of its own: nothing is known of the peer but what this flow tells.
  PeerCache peers(1);
  Classifier classifier(peers);
  if (!classifier.useSignatures(signatures)) return;
  const FlowEnds ends{{1}, {2}, 40'000, 50'000, flow.datagrams ? kProtocolUdp : kProtocolTcp};
  size_t packets = 0;
  size_t flows = 0;
  size_t bytesMost = 0;
  Classified result;
  const double start = processSeconds();
  double spent = 0;
  while (spent < seconds) {
    for (int round = 0; round < 64; ++round, ++flows) {
      FlowClassification state;
      std::array<uint64_t, 2> offsets{};
      for (const auto& [side, bytes] : flow.packets) {
        result = classifier.feed(state, ends, {side, offsets[indexOf(side)], bytes, flow.datagrams}, 0);
        offsets[indexOf(side)] += bytes.size();
        bytesMost = std::max(bytesMost, state.bytes());
        ++packets;
        if (result.final) break;
      }
    }
    spent = processSeconds() - start;
  }
  std::printf("%-30s %-12s %8.0f ns/packet %8.0f ns/flow %7zu bytes/flow\n", flow.name,
              std::string(signatures->nameOf(result.application)).c_str(), spent * 1e9 / static_cast<double>(packets),
              spent * 1e9 / static_cast<double>(flows), bytesMost);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s SIGNATURE_FOLDER [SECONDS_PER_CASE]\n", argv[0]);
    return 2;
  }
  const double seconds = argc > 2 ? std::atof(argv[2]) : 1.0;
  const SignatureSet::Build build = SignatureSet::build(readAll(argv[1]));
  if (!build.set) return 1;
  std::printf("%zu signatures, %zu bytes compiled; peer cache %zu bytes; %zu bytes for a flow without data\n", build.set->size(),
              build.set->bytes(), PeerCache(1).bytes(), sizeof(FlowClassification));
  for (const Case& flow : cases()) measure(build.set, flow, seconds);
  return 0;
}
