#include "gateway/parsers/ftp.h"

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kLineBytesMax = 4096;

// h1,h2,h3,h4,p1,p2
bool sixNumbers(std::string_view text, Address& address, uint16_t& port) {
  std::array<uint8_t, 6> numbers{};
  for (size_t i = 0; i < 6; ++i) {
    const auto value = decimalOf(trimmed(nextWord(text, ',')));
    if (!value || *value > 255) return false;
    numbers[i] = static_cast<uint8_t>(*value);
  }
  address = mappedIpv4(numbers.data());
  port = static_cast<uint16_t>(numbers[4] << 8 | numbers[5]);
  return port != 0;
}

// |1|10.0.0.1|5000|, with any delimiter
bool extended(std::string_view text, std::optional<Address>& address, uint16_t& port) {
  if (text.empty()) return false;
  const char delimiter = text.front();
  text.remove_prefix(1);
  (void)nextWord(text, delimiter);
  address = addressOf(nextWord(text, delimiter));
  const auto number = portOf(nextWord(text, delimiter));
  port = number.value_or(0);
  return port != 0;
}

std::string_view insideParentheses(std::string_view text) {
  const size_t open = text.find('(');
  if (open == std::string_view::npos) {
    // Some servers leave them out: the numbers begin with the first digit.
    const size_t digit = text.find_first_of("0123456789");
    return digit == std::string_view::npos ? std::string_view{} : text.substr(digit, text.find_first_not_of("0123456789,", digit) - digit);
  }
  text = text.substr(open + 1);
  return text.substr(0, text.find(')'));
}

}  // namespace

bool FtpParser::step(Side side, ParserEvents& events) {
  // What a client sends behind AUTH is text no more if the server agrees.
  if (side == Side::initiator && securing_) return false;
  std::string_view line;
  const Reader::Got got = reader(side).line(line, kLineBytesMax);
  if (got == Reader::Got::wait) return false;
  if (got == Reader::Got::tooLong) {
    events.attribute("ftp.skipped", "line too long");
    return true;
  }
  return side == Side::initiator ? command(line, events) : reply(line, events);
}

bool FtpParser::resume(Side side, uint64_t, ParserEvents&) {
  reader(side).resync();
  return true;
}

bool FtpParser::command(std::string_view line, ParserEvents& events) {
  // Telnet's interrupt and synch may stand in front.
  while (!line.empty() && static_cast<uint8_t>(line.front()) >= 0xf0) line.remove_prefix(1);
  const std::string_view verb = nextWord(line);
  const std::string_view argument = line;
  if (same(verb, "USER")) {
    events.attribute("ftp.user", utf8Of(argument));
  } else if (same(verb, "AUTH")) {
    securing_ = true;
  } else if (same(verb, "REST")) {
    restart_ = decimalOf(trimmed(argument)).value_or(0);
  } else if (same(verb, "PORT")) {
    Address address{};
    uint16_t port = 0;
    if (sixNumbers(argument, address, port)) announced(address, port, true, events);
  } else if (same(verb, "EPRT")) {
    std::optional<Address> address;
    uint16_t port = 0;
    if (extended(trimmed(argument), address, port) && address) announced(*address, port, true, events);
  } else {
    transferCommand(verb, argument, events);
  }
  return true;
}

void FtpParser::transferCommand(std::string_view verb, std::string_view argument, ParserEvents& events) {
  const bool gets = same(verb, "RETR");
  const bool lists = same(verb, "LIST") || same(verb, "NLST") || same(verb, "MLSD");
  stores_ = same(verb, "STOR") || same(verb, "STOU") || same(verb, "APPE");
  if (!gets && !lists && !stores_) return;
  kind_ = lists ? FlowHint::Kind::listing : FlowHint::Kind::file;
  path_ = lists ? std::string{} : utf8Of(argument);
  size_.reset();
  if (!lists)
    events.request(Side::initiator, {gets ? FileOffer::Kind::request : FileOffer::Kind::offer, lastPathPart(path_),
                                     path_, std::nullopt, {}});
  learn(events);
}

bool FtpParser::reply(std::string_view line, ParserEvents& events) {
  const auto code = line.size() >= 3 ? decimalOf(line.substr(0, 3)) : std::nullopt;
  // Lines of a long reply that do not end it.
  if (!code || (line.size() > 3 && line[3] != ' ')) return true;
  const std::string_view text = line.size() > 4 ? line.substr(4) : std::string_view{};
  if (securing_) {
    securing_ = false;
    if (*code == 234 || *code == 334) return handOver(Application::tls, "auth", events);
    // What the client sent in the meantime is text after all.
    readOn(Side::initiator, events);
    if (finished()) return false;
  }
  if (*code == 220) events.attribute("ftp.server", utf8Of(text));
  if (*code == 227) {
    Address address{};
    uint16_t port = 0;
    if (sixNumbers(insideParentheses(text), address, port)) announced(address, port, false, events);
  } else if (*code == 229) {
    std::optional<Address> address;
    uint16_t port = 0;
    if (extended(insideParentheses(text), address, port)) announced(address.value_or(ends_.responder), port, false, events);
  } else if ((*code == 150 || *code == 125) && kind_ == FlowHint::Kind::file) {
    const size_t bytes = findSame(text, " bytes");
    const size_t open = bytes == std::string_view::npos ? bytes : text.rfind('(', bytes);
    if (open != std::string_view::npos) size_ = decimalOf(text.substr(open + 1, bytes - open - 1));
    if (size_) learn(events);
  } else if (*code >= 200) {
    // The transfer is over, or has not been.
    if (*code == 226 || *code == 250 || *code == 550 || *code == 425) {
      kind_ = FlowHint::Kind::any;
      dataPort_ = 0;
      restart_ = 0;
    }
  }
  return true;
}

void FtpParser::announced(const Address& address, uint16_t port, bool active, ParserEvents& events) {
  dataAddress_ = address;
  dataPort_ = port;
  active_ = active;
  kind_ = FlowHint::Kind::any;
  path_.clear();
  size_.reset();
  const Address& own = ends_.address(active ? Side::initiator : Side::responder);
  // A data connection to a third party: the bounce attack, or a server behind a translator that does not know itself.
  if (own != Address{} && own != address) events.attribute("ftp.foreign_data_address", active ? "PORT" : "PASV");
  learn(events);
}

void FtpParser::learn(ParserEvents& events) {
  if (dataPort_ == 0) return;
  FlowHint hint;
  hint.kind = kind_;
  hint.name = lastPathPart(path_);
  hint.size = size_;
  hint.offset = restart_;
  // Whoever announces a place names it to the other end of this connection: what others do there is no data of it.
  hint.other = ends_.address(active_ ? Side::responder : Side::initiator);
  // The one that is connected to answers.
  if (kind_ != FlowHint::Kind::any) hint.sender = stores_ == active_ ? Side::responder : Side::initiator;
  events.learnPeer(dataAddress_, dataPort_, Application::ftpData, hint);
}

}  // namespace p2pxbone::gateway
