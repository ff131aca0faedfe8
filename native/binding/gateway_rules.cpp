#include "binding/gateway_rules.h"

#include <sys/random.h>

#include <array>
#include <limits>
#include <stdexcept>
#include <variant>

namespace p2pxbone {
namespace {

using gateway::Policy;
using gateway::PolicyError;
using gateway::Signature;
using gateway::SignatureError;
using gateway::SignatureSet;

uint64_t numberIn(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsNumber() || value.As<Napi::Number>().DoubleValue() < 0) {
    throw std::invalid_argument(std::string{"no number: "} + name);
  }
  return static_cast<uint64_t>(value.As<Napi::Number>().DoubleValue());
}

std::string textIn(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsString()) throw std::invalid_argument(std::string{"no text: "} + name);
  return value.As<Napi::String>().Utf8Value();
}

std::optional<Napi::Object> objectIn(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsObject()) return std::nullopt;
  return value.As<Napi::Object>();
}

std::span<const uint8_t> bytesIn(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw std::invalid_argument(std::string{"no bytes: "} + name);
  }
  const auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ElementLength()};
}

std::shared_ptr<const SignatureSet> signaturesFrom(const Napi::Array& files) {
  std::vector<Signature> signatures;
  for (uint32_t i = 0; i < files.Length(); ++i) {
    const Napi::Object file = files.Get(i).As<Napi::Object>();
    auto read = gateway::readSignature(textIn(file, "file"), textIn(file, "text"));
    if (const auto* error = std::get_if<SignatureError>(&read)) throw std::invalid_argument(error->text());
    signatures.push_back(std::move(std::get<Signature>(read)));
  }
  SignatureSet::Build build = SignatureSet::build(std::move(signatures));
  if (!build.errors.empty()) throw std::invalid_argument(build.errors.front().text());
  if (build.set == nullptr) throw std::invalid_argument("this machine's processor cannot match signatures (SSSE3 is needed)");
  return build.set;
}

struct Bound {
  const char* name;
  uint32_t gateway::Limits::*to;
  uint32_t unit = 1;
};

constexpr uint32_t kBlock = PacketStore::kBlockBytes;
constexpr uint32_t kPage = gateway::PagePool::kPageBytes;

// The names of gateway/core/bounds.ts.
constexpr std::array<Bound, 16> kBounds{{
    {"flows", &gateway::Limits::flows},
    {"halfOpenFlows", &gateway::Limits::halfOpenFlows},
    {"deniedConnections", &gateway::Limits::deniedConnections},
    {"redirects", &gateway::Limits::redirects},
    {"limitInstances", &gateway::Limits::limitInstances},
    {"answersPerSecond", &gateway::Limits::answersPerSecond},
    {"heldPackets", &gateway::Limits::heldPackets},
    {"heldMemory", &gateway::Limits::heldBlocks, kBlock},
    {"heldPerFlow", &gateway::Limits::heldBlocksPerFlow, kBlock},
    {"heldByLimits", &gateway::Limits::limitBlocks, kBlock},
    {"heldFragments", &gateway::Limits::fragmentBlocks, kBlock},
    {"fragmentedDatagrams", &gateway::Limits::fragmentedDatagrams},
    {"streamMemory", &gateway::Limits::streamPages, kPage},
    {"streamPerDirection", &gateway::Limits::pagesPerDirection, kPage},
    {"piecesPerDirection", &gateway::Limits::piecesPerDirection},
    {"waitingPerDirection", &gateway::Limits::waitingPerDirection},
}};

struct Patience {
  const char* name;
  Millis gateway::Limits::*to;
};

constexpr std::array<Patience, 5> kPatience{{
    {"gapTimeout", &gateway::Limits::gapTimeout},
    {"fragmentTimeout", &gateway::Limits::fragmentTimeout},
    {"halfOpenTimeout", &gateway::Limits::halfOpenTimeout},
    {"establishedTimeout", &gateway::Limits::establishedTimeout},
    {"datagramTimeout", &gateway::Limits::datagramTimeout},
}};

gateway::Limits limitsIn(const Napi::Object& settings) {
  gateway::Limits limits;
  const auto bounds = objectIn(settings, "bounds");
  if (!bounds) throw std::invalid_argument("no bounds");
  for (const auto& [name, to, unit] : kBounds) {
    if (!bounds->Has(name)) continue;
    const uint64_t units = (numberIn(*bounds, name) + unit - 1) / unit;
    if (units > std::numeric_limits<uint32_t>::max()) throw std::invalid_argument(std::string{"too much: "} + name);
    limits.*to = static_cast<uint32_t>(units);
  }
  if (bounds->Has("keptMemory")) limits.keptBytes = numberIn(*bounds, "keptMemory");
  for (const auto& [name, to] : kPatience) {
    if (bounds->Has(name)) limits.*to = static_cast<Millis>(numberIn(*bounds, name));
  }
  return limits;
}

gateway::HashSeed randomSeed() {
  gateway::HashSeed seed;
  if (::getrandom(&seed, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed)) throw std::invalid_argument("no random numbers");
  return seed;
}

}  // namespace

GatewayRules gatewayRulesFrom(const Napi::Object& object) {
  GatewayRules rules;
  rules.signatures = signaturesFrom(object.Get("signatures").As<Napi::Array>());
  const auto applicationOf = [&](std::string_view name) { return rules.signatures->applicationOf(name); };
  Policy::Build build = Policy::build(bytesIn(object, "policy"), applicationOf);
  if (const auto* error = std::get_if<PolicyError>(&build)) {
    const std::string place = error->line == 0 ? "" : std::to_string(error->line) + ":" + std::to_string(error->column) + ": ";
    throw std::invalid_argument(place + error->what);
  }
  rules.policy = std::get<std::shared_ptr<const Policy>>(std::move(build));
  rules.scan.objectMax = numberIn(object, "objectMax");
  rules.scan.archiveMax = numberIn(object, "archiveMax");
  return rules;
}

GatewaySettings gatewaySettingsFrom(const Napi::Object& object) {
  GatewaySettings settings;
  settings.limits = limitsIn(object);
  settings.seed = randomSeed();
  settings.host = textIn(object, "host");
  if (const auto audit = objectIn(object, "audit")) {
    AuditLog::Settings& to = settings.audit.emplace();
    to.directory = textIn(*audit, "directory");
    to.rotateBytes = numberIn(*audit, "rotateBytes");
    to.keep = static_cast<uint32_t>(numberIn(*audit, "keep"));
    to.host = settings.host;
    to.events = {};
    const auto events = audit->Get("events").As<Napi::Array>();
    for (uint32_t i = 0; i < events.Length(); ++i) {
      const auto event = gateway::auditEventFromName(events.Get(i).As<Napi::String>().Utf8Value());
      if (!event) throw std::invalid_argument("no such event");
      to.events.add(*event);
    }
  }
  if (const auto files = objectIn(object, "files")) {
    StoredFiles::Settings& to = settings.files.emplace();
    to.directory = textIn(*files, "directory");
    to.bytesMax = numberIn(*files, "bytesMax");
  }
  if (const auto scanner = objectIn(object, "scanner")) {
    ClamdSettings& to = settings.scanner.emplace();
    to.address = textIn(*scanner, "address");
    to.connections = static_cast<uint32_t>(numberIn(*scanner, "connections"));
    to.timeout = static_cast<Millis>(numberIn(*scanner, "timeoutMs"));
  }
  return settings;
}

NetfilterQueue::Settings queueSettingsFrom(const Napi::Object& object) {
  NetfilterQueue::Settings settings;
  settings.number = static_cast<uint16_t>(numberIn(object, "queue"));
  settings.packetsMax = static_cast<uint32_t>(numberIn(object, "packetsMax"));
  settings.failOpen = object.Get("failOpen").ToBoolean().Value();
  return settings;
}

}  // namespace p2pxbone
