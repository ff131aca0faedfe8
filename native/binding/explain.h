// What a policy says to a question, for those who ask before there is traffic.
#pragma once

#include <napi.h>

namespace p2pxbone {

// (rules, question) as native/addon.ts describes them. Throws an Error whose message is the reason.
Napi::Value explainPolicy(const Napi::CallbackInfo& info);

}  // namespace p2pxbone
