#include "binding/explain.h"

#include <arpa/inet.h>

#include <algorithm>
#include <stdexcept>

#include "binding/arguments.h"
#include "binding/gateway_rules.h"

namespace p2pxbone {
namespace {

using gateway::Decision;
using gateway::Sha256;

std::string textOr(const Napi::Object& object, const char* name, const char* otherwise = "") {
  const Napi::Value value = object.Get(name);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : otherwise;
}

std::optional<double> numberIn(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsNumber()) return std::nullopt;
  return value.As<Napi::Number>().DoubleValue();
}

std::span<const uint8_t> bytesIn(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsTypedArray()) return {};
  const auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ElementLength()};
}

Address addressIn(const Napi::Object& object, const char* name) {
  const std::span<const uint8_t> bytes = bytesIn(object, name);
  if (bytes.size() != sizeof(Address)) throw std::invalid_argument("native arguments");
  return addressAt(bytes, 0);
}

gateway::Application applicationNamed(const std::string& name, const gateway::SignatureSet& signatures) {
  if (const auto known = gateway::applicationFromName(name)) return *known;
  if (const auto own = signatures.applicationOf(name)) return *own;
  throw std::invalid_argument("no application is called " + name);
}

const char* actionName(Decision::Action action) {
  switch (action) {
    case Decision::Action::accept: return "accept";
    case Decision::Action::drop: return "drop";
    case Decision::Action::reject: return "reject";
    case Decision::Action::redirect: return "redirect";
  }
  return "";
}

Napi::Array needsToJs(Napi::Env env, uint32_t needs) {
  const Napi::Array list = Napi::Array::New(env);
  for (const auto& [bit, name] : gateway::kNeedNames)
    if ((needs & bit) != 0) list.Set(list.Length(), Napi::String::New(env, name.data(), name.size()));
  return list;
}

Napi::Object decisionToJs(Napi::Env env, const gateway::Policy& policy, const Decision& decision) {
  const Napi::Object object = Napi::Object::New(env);
  object.Set("action", actionName(decision.action));
  object.Set("decided", decision.decided);
  object.Set("rule", std::string{policy.ruleName(decision.rule)});
  object.Set("number", decision.rule);
  object.Set("line", policy.ruleLine(decision.rule));
  if (decision.mark) object.Set("mark", *decision.mark);
  if (decision.limit != 0) object.Set("limit", policy.limits()[decision.limit - 1U].name);
  if (decision.action == Decision::Action::redirect) {
    const gateway::RedirectTarget target = policy.redirectOf(decision.rule);
    const Napi::Object redirect = Napi::Object::New(env);
    std::array<char, INET6_ADDRSTRLEN> text{};
    const bool v4 = isMappedIpv4(target.address);
    ::inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &target.address[12] : target.address.data(), text.data(), text.size());
    redirect.Set("address", text.data());
    redirect.Set("port", target.port);
    object.Set("redirect", redirect);
  }
  object.Set("log", decision.log);
  object.Set("scan", decision.scan);
  object.Set("store", decision.store);
  object.Set("dryRun", decision.dryRun);
  object.Set("denyForMs", static_cast<double>(decision.denyFor));
  object.Set("needs", needsToJs(env, decision.needs));
  return object;
}

Decision ask(const GatewayRules& rules, const Napi::Object& question) {
  gateway::Flow flow;
  flow.key = {addressIn(question, "from"), addressIn(question, "to"),
              static_cast<uint16_t>(numberIn(question, "fromPort").value_or(0)),
              static_cast<uint16_t>(numberIn(question, "toPort").value_or(0)),
              static_cast<uint8_t>(numberIn(question, "protocol").value_or(0))};
  gateway::FlowFacts facts{flow};
  const std::string application = textOr(question, "application");
  if (!application.empty()) {
    flow.application = applicationNamed(application, *rules.signatures);
    facts.application = flow.application;
    facts.applicationKnown = true;
  }
  const std::string host = textOr(question, "host");
  facts.host = host;
  facts.hostKnown = !host.empty();
  facts.now = static_cast<gateway::WallTime>(numberIn(question, "now").value_or(0) * 1'000);
  facts.utcOffsetSeconds = static_cast<int32_t>(numberIn(question, "utcOffsetSeconds").value_or(0));
  const auto scratch = rules.policy->makeScratch();
  if (scratch == nullptr) throw std::bad_alloc{};

  if (const Napi::Value given = question.Get("file"); given.IsObject()) {
    const Napi::Object object = given.As<Napi::Object>();
    gateway::FileFacts file;
    const std::string name = textOr(object, "name");
    file.name = name;
    if (const auto size = numberIn(object, "size")) file.size = static_cast<uint64_t>(*size);
    if (const auto beginning = bytesIn(object, "beginning"); !beginning.empty()) file.type = gateway::fileTypeOf(beginning);
    Sha256 hash{};
    if (const auto bytes = bytesIn(object, "sha256"); bytes.size() == hash.size()) {
      std::copy(bytes.begin(), bytes.end(), hash.begin());
      file.sha256 = &hash;
      file.final = true;
    }
    file.sender = object.Get("fromInitiator").ToBoolean().Value() ? gateway::Side::initiator : gateway::Side::responder;
    return rules.policy->file(facts, file, *scratch);
  }
  if (const Napi::Value given = question.Get("chat"); given.IsObject()) {
    const Napi::Object object = given.As<Napi::Object>();
    const std::string from = textOr(object, "from");
    const std::string to = textOr(object, "to");
    const std::string text = textOr(object, "text");
    return rules.policy->chat(facts, {from, to, text}, *scratch);
  }
  return rules.policy->flow(facts, *scratch);
}

}  // namespace

Napi::Value explainPolicy(const Napi::CallbackInfo& info) {
  try {
    if (info.Length() < 2 || !info[0].IsObject() || !info[1].IsObject()) throw std::invalid_argument("native arguments");
    const GatewayRules rules = gatewayRulesFrom(info[0].As<Napi::Object>());
    return decisionToJs(info.Env(), *rules.policy, ask(rules, info[1].As<Napi::Object>()));
  } catch (const std::exception& error) {
    Napi::Error::New(info.Env(), error.what()).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
}

}  // namespace p2pxbone
