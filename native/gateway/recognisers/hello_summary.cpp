#include "gateway/recognisers/hello_summary.h"

#include <array>

namespace p2pxbone::gateway {
namespace {

struct Domain {
  std::string_view name;
  Application application;
};

constexpr std::array<Domain, 7> kDomains{{
    {"skype.com", Application::skype},
    {"skype.net", Application::skype},
    {"skypeassets.com", Application::skype},
    {"whatsapp.net", Application::whatsapp},
    {"whatsapp.com", Application::whatsapp},
    {"telegram.org", Application::telegram},
    {"t.me", Application::telegram},
}};

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool endsWithDomain(std::string_view name, std::string_view domain) {
  if (name.size() < domain.size()) return false;
  const std::string_view end = name.substr(name.size() - domain.size());
  for (size_t i = 0; i < domain.size(); ++i)
    if (lower(end[i]) != domain[i]) return false;
  return name.size() == domain.size() || name[name.size() - domain.size() - 1] == '.';
}

}  // namespace

Application applicationOfServer(std::string_view serverName, Application carrier) {
  for (const Domain& domain : kDomains)
    if (endsWithDomain(serverName, domain.name)) return domain.application;
  return carrier;
}

}  // namespace p2pxbone::gateway
