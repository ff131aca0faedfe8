// Records of any texts are one line of valid JSON that fits.
#include <cstdlib>

#include "gateway/audit/record.h"
#include "gateway/test/json_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace p2pxbone::gateway;
  if (size < 2) return 0;
  const std::string_view text{reinterpret_cast<const char*>(data + 2), size - 2};
  const std::string_view first = text.substr(0, data[1]);
  const std::string_view rest = text.substr(first.size());
  const std::array<AuditAttribute, 3> attributes{{{"tls.sni", first}, {"http.host", rest}, {"tls.sni", rest}}};
  const AuditDecision decision{AuditAction::drop, data[1], first, p2pxbone::DropReason::gatewayRule, false};

  AuditRecord record;
  record.host = first;
  record.ends.emplace();
  record.ends->protocol = data[1];
  record.ends->application = rest;
  switch (data[0] % 4) {
    case 0: {
      FlowAudit flow;
      flow.attributes = attributes;
      flow.decision = decision;
      record.about = flow;
      break;
    }
    case 1: record.about = AlertAudit{decision, AuditCause::file, rest, first, {}}; break;
    case 2: {
      FileAudit file;
      file.name = rest;
      file.contentType = file.hash = file.unscanned = first;
      record.about = file;
      break;
    }
    default: record.about = ChatAudit{ChatMessage::Kind::text, first, first, rest, decision};
  }
  std::array<char, kAuditRecordBytesMax> line;
  const size_t bytes = writeRecord(record, line);
  if (bytes == 0 || line[bytes - 1] != '\n' || !testing::JsonReader::read({line.data(), bytes - 1})) std::abort();
  return 0;
}
