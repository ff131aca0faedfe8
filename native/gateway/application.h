// What a flow carries. Numbers are stable: policy images, audit records and statistics hold them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace p2pxbone::gateway {

enum class Application : uint16_t {
  unknown = 0,
  bittorrent = 1,
  edonkey = 2,
  gnutella = 3,
  fasttrack = 4,
  opennap = 5,
  msn = 6,
  skype = 7,
  http = 8,
  tls = 9,
  quic = 10,
  irc = 11,
  xmpp = 12,
  ftp = 13,
  ftpData = 14,
  dns = 15,
  ssh = 16,
  sip = 17,
  dhcp = 18,
  ntp = 19,
  mdns = 20,
  ssdp = 21,
  netbios = 22,
  smb = 23,
  smtp = 24,
  pop3 = 25,
  imap = 26,
  telnet = 27,
  rdp = 28,
  vnc = 29,
  stun = 30,
  rtp = 31,
  rtsp = 32,
  soulseek = 33,
  directConnect = 34,
  openft = 35,
  whatsapp = 36,
  telegram = 37,
  oscar = 38,
  yahooMessenger = 39,
  mysql = 40,
  postgresql = 41,
  redis = 42,
  mqtt = 43,
  ldap = 44,
  snmp = 45,
  syslog = 46,
  rsync = 47,
  git = 48,
  socks = 49,
  wireguard = 50,
  openvpn = 51,
  ipsec = 52,
  dtls = 53,
  icmp = 54,
};

// One past the largest built-in number.
inline constexpr uint16_t kApplicationsBuiltIn = 55;

// Applications that an operator's own signature files name are numbered from here, in the order of their loading; their
// names live with the signatures.
inline constexpr uint16_t kApplicationUserFirst = 1024;

[[nodiscard]] constexpr bool isUserApplication(Application application) {
  return static_cast<uint16_t>(application) >= kApplicationUserFirst;
}

// As policies and audit records spell it. Empty for a number that is not built in.
[[nodiscard]] std::string_view applicationName(Application application);

// Letter case does not matter.
[[nodiscard]] std::optional<Application> applicationFromName(std::string_view name);

}  // namespace p2pxbone::gateway
