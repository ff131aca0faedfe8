// Captures of real traffic through the classifier, against what is known of them. P2PXBONE_CAPTURES names their folder,
// with a table expected.csv: pcap,l4,src,sport,dst,dport,…,expected,score; only rows with score 1 count, and `unknown`
// is no claim.
#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <sstream>
#include <string>

#include "gateway/byte_cursor.h"
#include "gateway/classifier.h"
#include "gateway/recognisers/bittorrent_peers.h"
#include "gateway/test/capture_flows.h"
#include "gateway/test/own_signatures.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

struct Row {
  std::string capture;
  CaptureFlows::Key key;
  std::string flow;
  std::string expected;
  bool scored = false;
};

Address addressOf(const std::string& text) {
  Address address{};
  uint8_t v4[4];
  if (inet_pton(AF_INET, text.c_str(), v4) == 1) return mappedIpv4(v4);
  REQUIRE(inet_pton(AF_INET6, text.c_str(), address.data()) == 1);
  return address;
}

std::vector<Row> readExpected(const std::filesystem::path& folder) {
  std::ifstream file(folder / "expected.csv");
  std::vector<Row> rows;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::vector<std::string> fields;
    std::istringstream stream(line);
    for (std::string field; std::getline(stream, field, ',');) fields.push_back(field);
    REQUIRE(fields.size() == 12);
    const uint8_t protocol = fields[1] == "UDP" ? kProtocolUdp : kProtocolTcp;
    const auto port = [&](size_t index) { return static_cast<uint16_t>(std::stoi(fields[index])); };
    rows.push_back({fields[0],
                    {protocol, addressOf(fields[2]), port(3), addressOf(fields[4]), port(5)},
                    fields[1] + " " + fields[2] + ":" + fields[3] + " > " + fields[4] + ":" + fields[5],
                    fields[10],
                    fields[11] == "1"});
  }
  return rows;
}

// What the pipeline does with one flow: classify, then hand everything to a parser; of all parsers only the one thing
// that matters to other flows is done here, which is to learn the peers in a tracker's answer.
class FlowUnderTest {
 public:
  void data(Classifier& classifier, PeerCache& peers, const FlowEnds& ends, const Chunk& chunk, Millis now) {
    if (!result.final) {
      result = classifier.feed(state, ends, chunk, now);
      if (const ClientHelloSummary* hello = state.hello()) serverName = hello->serverName;
    }
    if (chunk.side == Side::responder && answer_.size() < 4096)
      answer_.insert(answer_.end(), chunk.bytes.begin(), chunk.bytes.end());
    if (result.application == Application::bittorrent && !chunk.datagram) learn(peers, now);
  }

  FlowClassification state;
  Classified result;
  std::string serverName;

 private:
  void learn(PeerCache& peers, Millis now) {
    const size_t head = textOf(answer_).find("\r\n\r\n");
    if (head == std::string_view::npos) return;
    peersInBencoded(std::span<const uint8_t>(answer_).subspan(head + 4), [&](const Address& address, uint16_t port) {
      peers.learn(address, port, Application::bittorrent, now);
    });
  }

  std::vector<uint8_t> answer_;
};

struct Verdict {
  std::string label;
  Classified result;
  std::string serverName;
};

std::map<CaptureFlows::Key, Verdict> classify(const std::filesystem::path& capture,
                                              const std::shared_ptr<const SignatureSet>& signatures) {
  PeerCache peers(1);
  Classifier classifier(peers);
  REQUIRE(classifier.useSignatures(signatures));
  CaptureFlows flows;
  std::map<CaptureFlows::Key, FlowUnderTest> states;
  Millis now = 0;
  PcapReader reader(capture);
  REQUIRE(reader.forEachPacket([&](std::span<const uint8_t> packet) {
    ++now;
    flows.add(packet, [&](const CaptureFlows::Key& key, const CaptureFlow& flow, const Chunk& chunk) {
      states[key].data(classifier, peers, flow.ends, chunk, now);
    });
  }));
  std::map<CaptureFlows::Key, Verdict> verdicts;
  for (const auto& [key, flow] : flows.flows()) {
    FlowUnderTest& state = states[key];
    if (!state.result.final) state.result = classifier.conclude(state.state, flow.ends, now);
    verdicts[key] = {std::string(signatures->nameOf(state.result.application)), state.result, state.serverName};
  }
  return verdicts;
}

const Verdict* find(const std::map<CaptureFlows::Key, Verdict>& verdicts, const CaptureFlows::Key& key) {
  if (const auto at = verdicts.find(key); at != verdicts.end()) return &at->second;
  const auto& [protocol, a, portA, b, portB] = key;
  const auto back = verdicts.find({protocol, b, portB, a, portA});
  return back == verdicts.end() ? nullptr : &back->second;
}

}  // namespace

TEST_CASE("captures of real traffic are classified as what they are") {
  const char* const folder = std::getenv("P2PXBONE_CAPTURES");
  if (folder == nullptr || !std::filesystem::exists(std::filesystem::path(folder) / "expected.csv")) {
    MESSAGE("skipped: P2PXBONE_CAPTURES names no folder with captures and their expected.csv");
    return;
  }
  const auto signatures = ownSignatureSet();
  std::map<std::string, std::map<CaptureFlows::Key, Verdict>> captures;
  std::map<std::string, std::map<std::string, size_t>> confusion;
  size_t scored = 0;
  size_t right = 0;
  size_t wrong = 0;
  for (const Row& row : readExpected(folder)) {
    if (!captures.count(row.capture))
      captures[row.capture] = classify(std::filesystem::path(folder) / row.capture, signatures);
    const Verdict* const verdict = find(captures[row.capture], row.key);
    REQUIRE_MESSAGE(verdict != nullptr, row.capture, ": no such flow: ", row.flow);
    std::printf("%-34s %-62s %-10s %-10s %3d%% %s%s\n", row.capture.c_str(), row.flow.c_str(), row.expected.c_str(),
                verdict->label.c_str(), verdict->result.confidence, verdict->serverName.c_str(),
                row.scored ? "" : " (not scored)");
    if (!row.scored) continue;
    const auto expected = signatures->applicationOf(row.expected);
    REQUIRE(expected.has_value());
    const bool same = *expected == verdict->result.application;
    const bool unknown = verdict->result.application == Application::unknown;
    ++scored;
    right += same ? 1 : 0;
    wrong += same || unknown ? 0 : 1;
    confusion[row.expected][verdict->label]++;
    // Their labels are certain: they were made with the real programs.
    if (row.capture.starts_with("gen_")) CHECK_MESSAGE(same, row.capture, " ", row.flow, " is ", verdict->label);
  }
  std::printf("\n%-14s classified as\n", "expected");
  for (const auto& [expected, labels] : confusion) {
    std::printf("%-14s", expected.c_str());
    for (const auto& [label, count] : labels) std::printf(" %s %zu", label.c_str(), count);
    std::printf("\n");
  }
  std::printf("%zu of %zu right, %zu wrong, %zu unknown\n\n", right, scored, wrong, scored - right - wrong);
  CHECK(wrong == 0);
  CHECK(right * 100 >= scored * 95);
}
