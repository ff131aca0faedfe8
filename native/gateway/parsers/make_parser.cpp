#include "gateway/parsers/bittorrent.h"
#include "gateway/parsers/dns.h"
#include "gateway/parsers/edonkey.h"
#include "gateway/parsers/fasttrack.h"
#include "gateway/parsers/ftp.h"
#include "gateway/parsers/gnutella.h"
#include "gateway/parsers/http.h"
#include "gateway/parsers/irc.h"
#include "gateway/parsers/msn.h"
#include "gateway/parsers/opennap.h"
#include "gateway/parsers/parser.h"
#include "gateway/parsers/raw_transfer.h"
#include "gateway/parsers/sip.h"
#include "gateway/parsers/ssh.h"
#include "gateway/parsers/xmpp.h"

namespace p2pxbone::gateway {
namespace {

// What was expected because of a DCC offer carries a file or a chat, and no commands.
std::unique_ptr<Parser> makeIrc(const FlowHint& hint) {
  if (hint.kind == FlowHint::Kind::file) return std::make_unique<RawTransferParser>(hint, true);
  if (hint.kind == FlowHint::Kind::chat) return std::make_unique<DccChatParser>();
  return std::make_unique<IrcParser>();
}

}  // namespace

std::unique_ptr<Parser> makeParser(Application application, const ParserContext& context) {
  switch (application) {
    case Application::bittorrent:
      return std::make_unique<BitTorrentParser>(context.ends);
    case Application::dns:
      return std::make_unique<DnsParser>();
    case Application::edonkey:
      return std::make_unique<EDonkeyParser>();
    case Application::fasttrack:
      return std::make_unique<FastTrackParser>();
    case Application::ftp:
      return std::make_unique<FtpParser>(context.ends);
    case Application::ftpData:
      return std::make_unique<RawTransferParser>(context.hint, false);
    case Application::gnutella:
      return std::make_unique<GnutellaParser>();
    case Application::http:
      return std::make_unique<HttpParser>();
    case Application::irc:
      return makeIrc(context.hint);
    case Application::msn:
      return std::make_unique<MsnParser>(context.hint);
    case Application::opennap:
      return std::make_unique<OpenNapParser>(context.hint);
    case Application::sip:
      return std::make_unique<SipParser>();
    case Application::ssh:
      return std::make_unique<SshParser>();
    case Application::xmpp:
      return std::make_unique<XmppParser>();
    default:
      return nullptr;
  }
}

}  // namespace p2pxbone::gateway
