// Captures of real traffic through the whole gateway, against what is known of them. P2PXBONE_CAPTURES names their folder,
// with a table expected.csv: pcap,l4,src,sport,dst,dport,…,expected,score; only rows with score 1 count, and `unknown`
// is no claim.
#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "core/checksum.h"
#include "gateway/test/application_world.h"
#include "gateway/test/pcap_reader.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

struct Row {
  std::string capture;
  std::string protocol, source, sourcePort, destination, destinationPort;
  std::string expected;
  bool scored = false;
};

std::string keyOf(const std::string& protocol, const std::string& a, const std::string& portA, const std::string& b,
                  const std::string& portB) {
  return protocol + " " + a + ":" + portA + " > " + b + ":" + portB;
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
    rows.push_back({fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[10], fields[11] == "1"});
  }
  return rows;
}

// Captures made by hand, with anonymised addresses, or where a network card sums, have it wrong.
void mendChecksums(Bytes& bytes) {
  InnerPacket ip;
  const bool six = !bytes.empty() && bytes[0] >> 4 == 6;
  const size_t header = bytes.empty() ? 0 : size_t{bytes[0]} % 16 * 4;
  if (!six && header >= kIpv4HeaderBytes && header <= bytes.size()) {
    storeBe16(&bytes[10], 0);
    storeBe16(&bytes[10], checksumOf(std::span<const uint8_t>(bytes).first(header)));
  }
  if (parseInner(bytes, ip) != DropReason::none || ip.fragment || !ip.portsKnown) return;
  const size_t at = ip.transportOffset + (ip.protocol == kProtocolTcp ? 16 : 6);
  if (at + 2 > ip.transportOffset + ip.transportBytes) return;
  storeBe16(&bytes[at], 0);
  const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(ip.transportOffset);
  const Bytes transport(first, first + static_cast<std::ptrdiff_t>(ip.transportBytes));
  const uint16_t sum = transportChecksum(ip.source, ip.destination, ip.protocol, transport);
  storeBe16(&bytes[at], sum == 0 && ip.protocol == kProtocolUdp ? 0xffff : sum);
}

// What the audit trail says of each flow, by who has begun it.
std::map<std::string, std::string> classify(const std::filesystem::path& capture) {
  ApplicationWorld on{"nothing"};
  PcapReader reader(capture);
  REQUIRE(reader.forEachPacket([&](std::span<const uint8_t> packet) {
    ++on.world.now;
    Bytes bytes(packet.begin(), packet.end());
    mendChecksums(bytes);
    (void)on.world.send(bytes);
    on.poll();
  }));
  on.endFlows();
  std::map<std::string, std::string> labels;
  for (const auto& record : on.audit.records) {
    if (record.at("event_type") != "flow" || !record.contains("src_port")) continue;
    const std::string key = keyOf(record.at("proto"), record.at("src_ip"), record.at("src_port"), record.at("dest_ip"),
                                  record.at("dest_port"));
    // What became another protocol (STARTTLS) began as what it was made for.
    const auto before = record.find("metadata.application.before.0");
    const auto application = before != record.end() ? before : record.find("app_proto");
    labels.try_emplace(key, application == record.end() ? "unknown" : application->second);
  }
  return labels;
}

const std::string* find(const std::map<std::string, std::string>& labels, const Row& row) {
  const auto there = labels.find(keyOf(row.protocol, row.source, row.sourcePort, row.destination, row.destinationPort));
  if (there != labels.end()) return &there->second;
  const auto back = labels.find(keyOf(row.protocol, row.destination, row.destinationPort, row.source, row.sourcePort));
  return back == labels.end() ? nullptr : &back->second;
}

}  // namespace

TEST_CASE("captures of real traffic are classified as what they are") {
  const char* const folder = std::getenv("P2PXBONE_CAPTURES");
  if (folder == nullptr || !std::filesystem::exists(std::filesystem::path(folder) / "expected.csv")) {
    MESSAGE("skipped: P2PXBONE_CAPTURES names no folder with captures and their expected.csv");
    return;
  }
  std::map<std::string, std::map<std::string, std::string>> captures;
  std::map<std::string, std::map<std::string, size_t>> confusion;
  size_t scored = 0;
  size_t right = 0;
  size_t wrong = 0;
  for (const Row& row : readExpected(folder)) {
    if (!captures.count(row.capture)) captures[row.capture] = classify(std::filesystem::path(folder) / row.capture);
    const std::string flow = keyOf(row.protocol, row.source, row.sourcePort, row.destination, row.destinationPort);
    const std::string* const found = find(captures[row.capture], row);
    // Of a connection without data there is no record.
    const std::string label = found == nullptr ? "unknown" : *found;
    std::printf("%-34s %-62s %-10s %-10s%s\n", row.capture.c_str(), flow.c_str(), row.expected.c_str(), label.c_str(),
                row.scored ? "" : " (not scored)");
    if (!row.scored) continue;
    REQUIRE_MESSAGE(found != nullptr, row.capture, ": no such flow: ", flow);
    // Some have two names.
    const auto expected = signaturesOnce()->applicationOf(row.expected);
    REQUIRE(expected.has_value());
    const bool same = expected == signaturesOnce()->applicationOf(label);
    const bool unknown = label == "unknown";
    ++scored;
    right += same ? 1 : 0;
    wrong += same || unknown ? 0 : 1;
    confusion[row.expected][label]++;
    // Their labels are certain: they were made with the real programs.
    if (row.capture.starts_with("gen_")) CHECK_MESSAGE(same, row.capture, " ", flow, " is ", label);
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
