#include "os/clamd_connection.h"

#include <arpa/inet.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace p2pxbone {
namespace {

using gateway::ClamdReply;
using namespace std::string_view_literals;

constexpr size_t kPiecesAtOnce = 64;
constexpr auto kSession = "zIDSESSION\0"sv;

std::string saying(std::string_view what, int error) { return std::string{what} + ": " + std::strerror(error); }

}  // namespace

int ClamdConnection::open(const ClamdAddress& address) {
  socket_ = address.connect();
  if (!socket_.valid()) return errno;
  connecting_ = true;
  return 0;
}

void ClamdConnection::close() { *this = ClamdConnection{}; }

void ClamdConnection::begin(std::string_view command) {
  command_ = sent_ == 0 ? kSession : ""sv;
  command_ += 'z';
  command_ += command;
  command_ += '\0';
  ++sent_;
  busy_ = true;
  next_ = 0;
  pieces_.clear();
  add(command_.data(), command_.size());
}

void ClamdConnection::add(const void* bytes, size_t count) { pieces_.push_back({const_cast<void*>(bytes), count}); }

void ClamdConnection::send(std::string_view command) { begin(command); }

void ClamdConnection::send(const ScanObject& object) {
  begin("INSTREAM");
  lengths_.resize(object.blocks() + 1);
  for (size_t i = 0; i < object.blocks(); ++i) {
    const std::span<const uint8_t> block = object.block(i);
    lengths_[i] = htonl(static_cast<uint32_t>(block.size()));
    add(&lengths_[i], sizeof lengths_[i]);
    add(block.data(), block.size());
  }
  lengths_.back() = 0;
  add(&lengths_.back(), sizeof lengths_.back());
}

short ClamdConnection::events() const {
  return static_cast<short>(POLLIN | (connecting_ || (busy_ && !allSent() && !refused_) ? POLLOUT : 0));
}

std::optional<ClamdConnection::Outcome> ClamdConnection::ready(short events) {
  if (connecting_) {
    if ((events & (POLLOUT | POLLERR | POLLHUP)) == 0) return std::nullopt;
    int error = 0;
    socklen_t bytes = sizeof error;
    if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) error = errno;
    if (error != 0) return broken(saying("clamd cannot be reached", error));
    connecting_ = false;
  }
  if (busy_ && !refused_) {
    if (auto outcome = write()) return outcome;
  }
  return read();
}

std::optional<ClamdConnection::Outcome> ClamdConnection::write() {
  while (!allSent()) {
    msghdr message{};
    message.msg_iov = &pieces_[next_];
    message.msg_iovlen = std::min(kPiecesAtOnce, pieces_.size() - next_);
    const ssize_t written = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return std::nullopt;
      // It may have said why before it went.
      refused_ = true;
      return std::nullopt;
    }
    auto left = static_cast<size_t>(written);
    while (left > 0) {
      iovec& piece = pieces_[next_];
      const size_t part = std::min(left, piece.iov_len);
      piece.iov_base = static_cast<uint8_t*>(piece.iov_base) + part;
      piece.iov_len -= part;
      left -= part;
      if (piece.iov_len == 0) ++next_;
    }
  }
  return std::nullopt;
}

std::optional<ClamdConnection::Outcome> ClamdConnection::read() {
  std::array<uint8_t, 2048> buffer;
  for (;;) {
    const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return std::nullopt;
    if (count < 0) return broken(saying("clamd broke the connection", errno));
    if (count == 0) return broken("clamd closed the connection");
    std::span<const uint8_t> bytes = std::span{buffer}.first(static_cast<size_t>(count));
    if (auto reply = reader_.take(bytes)) return accept(std::move(*reply), !bytes.empty());
  }
}

ClamdConnection::Outcome ClamdConnection::accept(ClamdReply reply, bool moreBehind) {
  if (reply.kind == ClamdReply::Kind::malformed) return broken("clamd answered what is no answer: " + reply.text);
  if (!busy_ || moreBehind || reply.number != sent_) return broken("clamd answered what nobody asked");
  if (!allSent() && reply.kind == ClamdReply::Kind::clean) return broken("clamd answered before it had all of the object");
  ++answered_;
  // What was not sent would be taken for commands.
  if (!allSent()) {
    close();
  } else {
    busy_ = false;
  }
  return {.broken = false, .why = {}, .reply = std::move(reply)};
}

ClamdConnection::Outcome ClamdConnection::broken(std::string why) {
  close();
  return {.broken = true, .why = std::move(why), .reply = {}};
}

}  // namespace p2pxbone
