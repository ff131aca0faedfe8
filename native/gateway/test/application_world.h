// A pipeline with the application stage under policies of test/policies, a scanner that answers when it is told to, and
// an audit trail that can be read.
#pragma once

#include <fstream>
#include <iterator>

#include "gateway/application_stage.h"
#include "gateway/scanning/memory_scan_engine.h"
#include "gateway/test/json_reader.h"
#include "gateway/test/own_signatures.h"
#include "gateway/test/pipeline_world.h"

namespace p2pxbone::gateway::testing {

inline const std::string kVirus = "WICKED-BYTES";

// The policy test/policies/NAME.yaml, as the compiler has made it.
inline std::shared_ptr<const Policy> goldenPolicy(const std::string& name) {
  std::ifstream file(P2PXBONE_SOURCE_DIR "/gateway/test/golden/policies/" + name + ".bin", std::ios::binary);
  const Bytes image{std::istreambuf_iterator<char>(file), {}};
  Policy::Build built = Policy::build(image, {});
  if (const auto* error = std::get_if<PolicyError>(&built)) FAIL(name << ": " << error->what);
  return std::get<std::shared_ptr<const Policy>>(built);
}

inline const std::shared_ptr<const SignatureSet>& signaturesOnce() {
  static const std::shared_ptr<const SignatureSet> set = ownSignatureSet();
  return set;
}

class RecordedAudit final : public AuditSink {
 public:
  [[nodiscard]] bool wants(AuditEvent) const override { return on; }
  void record(const AuditRecord& record) override {
    std::vector<char> line(kAuditRecordBytesMax);
    const size_t bytes = writeRecord(record, line);
    const auto values = JsonReader::read(std::string_view{line.data(), bytes - 1});
    REQUIRE(values.has_value());
    records.push_back(*values);
  }
  // This field of all records of an event, in order; "-" where there is none.
  [[nodiscard]] std::vector<std::string> all(const std::string& event, const std::string& field) const {
    std::vector<std::string> found;
    for (const JsonReader::Values& record : records) {
      if (record.at("event_type") != event) continue;
      const auto value = record.find(event + "." + field);
      found.push_back(value == record.end() ? "-" : value->second);
    }
    return found;
  }

  bool on = true;
  std::vector<JsonReader::Values> records;
};

inline Pipeline::Settings settingsWith(const Limits& limits, Redirects& redirects) {
  Pipeline::Settings settings;
  settings.limits = limits;
  settings.redirects = &redirects;
  return settings;
}

struct ApplicationWorld {
  explicit ApplicationWorld(const std::string& policy, const Limits& limits = {}, bool scanner = true)
      : redirects(limits, {}),
        stage({&audit, scanner ? &desk : nullptr, nullptr, &redirects}, {}, "router"),
        world(settingsWith(limits, redirects), false) {
    use(policy);
    redirects.avoid([this](const FlowKey& key) { return world.pipeline.flows().find(key) != nullptr; });
    world.pipeline.addStage(stage);
  }

  // As os/gateway.cpp does it.
  void use(const std::string& name) {
    const auto policy = goldenPolicy(name);
    REQUIRE(stage.use(policy, signaturesOnce()));
    world.pipeline.setConditions(policy->packetConditions());
    world.pipeline.connectionCache().clear();
    desk.setConditions(policy->conditions());
  }
  void poll() {
    stage.poll(world.pipeline, world.now);
    world.pipeline.timer(world.now);
  }
  void scanAll() {
    engine.scanAll();
    poll();
  }
  // Ends all flows, so that they are told about.
  void endFlows() { world.pipeline.shutdown(world.now); }
  Flow& flow() {
    Flow* found = nullptr;
    world.pipeline.flows().forEach([&](Flow& each) { found = &each; });
    REQUIRE(found != nullptr);
    return *found;
  }

  RecordedAudit audit;
  MemoryScanEngine engine{{kVirus}};
  ScanDesk desk{engine, {.bufferBytes = 100, .tailBytes = 11, .archiveMax = 400, .buffersAhead = 0}, {}};
  Redirects redirects;
  ApplicationStage stage;
  World world;
};

// A TCP connection through it, from its handshake on.
class Connection {
 public:
  explicit Connection(ApplicationWorld& world, Host from = kClient, Host to = kServer)
      : world_(world.world), client_(from), server_(to) {
    REQUIRE(fromClient("", kTcpSyn).goesOn());
    REQUIRE(fromServer("", kSynAck).goesOn());
    REQUIRE(fromClient("", kTcpAck).goesOn());
    world_.out.clear();
  }

  Verdict client(std::string_view text, uint8_t flags = kTcpAck) { return fromClient(text, flags); }
  Verdict server(std::string_view text, uint8_t flags = kTcpAck) { return fromServer(text, flags); }

 private:
  Verdict fromClient(std::string_view text, uint8_t flags) { return send(client_, server_, sent_[0], sent_[1], text, flags); }
  Verdict fromServer(std::string_view text, uint8_t flags) { return send(server_, client_, sent_[1], sent_[0], text, flags); }
  Verdict send(const Host& from, const Host& to, uint32_t& mine, uint32_t theirs, std::string_view text, uint8_t flags) {
    const Segment segment{.from = from,
                          .to = to,
                          .sequence = mine,
                          .acknowledgement = (flags & kTcpAck) != 0 ? theirs : 0,
                          .flags = flags,
                          .data = bytesOf(text)};
    mine += static_cast<uint32_t>(text.size()) + ((flags & (kTcpSyn | kTcpFin)) != 0 ? 1 : 0);
    return world_.send(tcpPacket(segment));
  }

  World& world_;
  Host client_;
  Host server_;
  std::array<uint32_t, 2> sent_{100, 500};
};

inline std::string get(std::string_view path, std::string_view host = "some.example") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n";
}
// With a body of so many bytes to come; what is given of it is behind the head.
inline std::string response(size_t length, std::string_view body = "", std::string_view type = "application/x-thing") {
  return "HTTP/1.1 200 OK\r\nContent-Type: " + std::string(type) + "\r\nContent-Length: " + std::to_string(length) +
         "\r\n\r\n" + std::string(body);
}

}  // namespace p2pxbone::gateway::testing
