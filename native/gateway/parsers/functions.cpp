#include "gateway/parsers/functions.h"

#include <array>

namespace p2pxbone::gateway {
namespace {

constexpr std::array<Functions, 19> kFunctions{{
    // application              classify filter scan   audit  limit
    {Application::fasttrack, true, true, true, true, true},
    // Parts arrive in any order, from many: no gateway sees a whole file.
    {Application::edonkey, true, true, false, false, true},
    {Application::bittorrent, true, true, false, false, true},
    {Application::gnutella, true, true, true, true, true},
    {Application::msn, true, true, true, true, true},
    // Encrypted: there is nothing to filter by.
    {Application::skype, true, false, false, false, true},
    {Application::opennap, true, true, true, true, true},
    {Application::http, true, true, true, true, true},
    {Application::ftp, true, true, true, true, true},
    {Application::ftpData, true, true, true, true, true},
    {Application::irc, true, true, true, true, true},
    {Application::xmpp, true, true, true, true, true},
    // Text messages are seen; files are not sent.
    {Application::sip, true, true, false, true, true},
    // Names of hosts, not of files; the attributes of a flow are in its audit record in any case.
    {Application::dns, true, false, false, false, true},
    {Application::ssh, true, false, false, false, true},
    {Application::tls, true, false, false, false, true},
    {Application::quic, true, false, false, false, true},
    {Application::rtp, true, false, false, false, true},
    {Application::unknown, true, false, false, false, true},
}};

}  // namespace

std::span<const Functions> allFunctions() { return kFunctions; }

Functions functionsOf(Application application) {
  for (const Functions& functions : kFunctions)
    if (functions.application == application) return functions;
  return {application, true, false, false, false, true};
}

}  // namespace p2pxbone::gateway
