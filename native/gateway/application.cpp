#include "gateway/application.h"

#include <algorithm>
#include <array>

namespace p2pxbone::gateway {
namespace {

// In the order of the enumeration.
constexpr std::array<std::string_view, kApplicationsBuiltIn> kNames{
    "unknown", "bittorrent", "edonkey", "gnutella", "fasttrack", "opennap", "msn", "skype", "http", "tls", "quic",
    "irc", "xmpp", "ftp", "ftpData", "dns", "ssh", "sip", "dhcp", "ntp", "mdns", "ssdp", "netbios", "smb", "smtp",
    "pop3", "imap", "telnet", "rdp", "vnc", "stun", "rtp", "rtsp", "soulseek", "directConnect", "openft", "whatsapp",
    "telegram", "oscar", "yahooMessenger", "mysql", "postgresql", "redis", "mqtt", "ldap", "snmp", "syslog", "rsync",
    "git", "socks", "wireguard", "openvpn", "ipsec", "dtls", "icmp",
};

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool sameName(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

std::string_view applicationName(Application application) {
  const auto number = static_cast<size_t>(application);
  return number < kNames.size() ? kNames[number] : std::string_view{};
}

std::optional<Application> applicationFromName(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (sameName(name, kNames[i])) return static_cast<Application>(i);
  return std::nullopt;
}

}  // namespace p2pxbone::gateway
