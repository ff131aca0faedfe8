#include "gateway/application.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace p2pxbone::gateway;

TEST_CASE("every built-in application has a name of its own that leads back to it") {
  std::set<std::string> names;
  for (uint16_t number = 0; number < kApplicationsBuiltIn; ++number) {
    const auto application = static_cast<Application>(number);
    const std::string name{applicationName(application)};
    CHECK(!name.empty());
    CHECK(names.insert(name).second);
    CHECK(applicationFromName(name) == application);
  }
  CHECK(applicationName(Application::icmp) == "icmp");
  CHECK(applicationName(Application::mysql) == "mysql");
  CHECK(applicationName(Application::ftpData) == "ftpData");
}

TEST_CASE("names of applications are found in any letter case, and others are not found") {
  CHECK(applicationFromName("BitTorrent") == Application::bittorrent);
  CHECK(applicationFromName("FTPDATA") == Application::ftpData);
  CHECK(!applicationFromName("bittorren"));
  CHECK(!applicationFromName(""));
  CHECK(applicationName(static_cast<Application>(kApplicationsBuiltIn)).empty());
  CHECK(applicationName(static_cast<Application>(kApplicationUserFirst)).empty());
  CHECK(isUserApplication(static_cast<Application>(kApplicationUserFirst)));
  CHECK(!isUserApplication(Application::icmp));
}
