// What a parser tells of one flow, and what follows from it: questions to the policy, records, files.
#pragma once

#include "gateway/application_work.h"

namespace p2pxbone::gateway {

// Lives as long as one call of the stage.
class ApplicationStage::Events final : public ParserEvents {
 public:
  Events(ApplicationStage& stage, const StageContext& context, Work& work) : stage_(stage), context_(context), work_(work) {}

  void request(Side from, const FileOffer& offer) override;
  void chat(Side from, const ChatMessage& message) override;
  void transferBegins(Side sender, const Transfer& transfer) override;
  void transferData(Side sender, std::span<const uint8_t> bytes) override;
  void transferEnds(Side sender, bool complete) override;
  void attribute(std::string_view name, std::string_view value) override;
  void learnPeer(const Address& address, uint16_t port, Application application, const FlowHint& hint) override;
  void handOver(const HandOver& handOver) override { handedOver = handOver; }

  // For the flow's record.
  void note(std::string_view name, std::string_view value);

  StageAnswer answer;
  std::optional<HandOver> handedOver;
  bool gaveUp = false;

 private:
  Flow& flow() const { return context_.flow; }
  AuditEnds ends(Side sender) const;
  void hostIs(std::string_view host);
  void obey(const Decision& decision, AuditCause cause, std::string_view about, Side from);

  ApplicationStage& stage_;
  const StageContext& context_;
  Work& work_;
};

}  // namespace p2pxbone::gateway
