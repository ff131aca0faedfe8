#include "core/association_liveness.h"

#include <algorithm>

namespace p2pxbone {
namespace {

constexpr size_t numberBytes = 8;
// Answer: kind, number of the request, UDP payload size it arrived in.
constexpr size_t answerBytes = 1 + numberBytes + 2;
constexpr double jitter = 0.1;
// RFC 6298 §2.3.
constexpr double rttGain = 1.0 / 8;

void putNumber(std::vector<uint8_t>& out, uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(number >> shift));
}

uint64_t numberOf(std::span<const uint8_t> keepAlive) {
  uint64_t number = 0;
  for (const uint8_t byte : keepAlive.subspan(1, numberBytes)) number = (number << 8) | byte;
  return number;
}

}  // namespace

Liveness::Liveness(const AssociationSettings& settings, std::minstd_rand& random, Millis now)
    : keepAlive_(settings.keepAlive),
      silence_(settings.silence),
      random_(random),
      receivedAt_(now),
      askedAt_(now),
      interval_(drawInterval()) {}

Millis Liveness::drawInterval() {
  std::uniform_real_distribution<double> factor(1 - jitter, 1 + jitter);
  return std::max<Millis>(1, static_cast<Millis>(static_cast<double>(keepAlive_) * factor(random_)));
}

void Liveness::asked(Millis now) {
  askedAt_ = now;
  interval_ = drawInterval();
}

std::vector<uint8_t> Liveness::request(size_t payloadBytes, size_t overheadBytes, Millis now) {
  const size_t bytes = std::max(keepAliveRequestBytesMin + overheadBytes, payloadBytes) - overheadBytes;
  lastNumber_++;
  unanswered_[lastNumber_ % unanswered_.size()] = {lastNumber_, now, bytes + overheadBytes};
  std::vector<uint8_t> content;
  content.reserve(bytes);
  content.push_back(contentKeepAliveRequest);
  putNumber(content, lastNumber_);
  content.resize(bytes);
  return content;
}

std::optional<std::vector<uint8_t>> Liveness::answer(std::span<const uint8_t> request, size_t payloadBytes) {
  if (request.size() < keepAliveRequestBytesMin) return std::nullopt;
  std::vector<uint8_t> content;
  content.reserve(answerBytes);
  content.push_back(contentKeepAliveAnswer);
  putNumber(content, numberOf(request));
  content.push_back(static_cast<uint8_t>(payloadBytes >> 8));
  content.push_back(static_cast<uint8_t>(payloadBytes & 0xff));
  return content;
}

uint64_t Liveness::numberAnswered(std::span<const uint8_t> answer) { return numberOf(answer); }

bool Liveness::answered(std::span<const uint8_t> answer, Millis now, std::optional<size_t>& payloadBytes) {
  if (answer.size() != answerBytes) return false;
  const uint64_t number = numberOf(answer);
  Asked& asked = unanswered_[number % unanswered_.size()];
  const size_t arrivedBytes = static_cast<size_t>((answer[answerBytes - 2] << 8) | answer[answerBytes - 1]);
  // Too late says nothing about the path as it is now.
  const bool timely = number != 0 && asked.number == number && now - asked.at < silence_;
  if (!timely) return true;
  const double sample = static_cast<double>(now - asked.at);
  rttMs_ = rttMs_ < 0 ? sample : rttMs_ + (sample - rttMs_) * rttGain;
  asked.number = 0;
  if (arrivedBytes == asked.payloadBytes) payloadBytes = arrivedBytes;
  return true;
}

}  // namespace p2pxbone
