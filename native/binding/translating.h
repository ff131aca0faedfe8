// Exceptions of the native side as those of JavaScript.
#pragma once

#include <napi.h>

#include <exception>
#include <new>
#include <system_error>

namespace p2pxbone {

// What `body` throws becomes an Error, with the errno where there is one.
template <typename Body>
void translating(Napi::Env env, Body&& body) {
  try {
    body();
  } catch (const std::system_error& error) {
    Napi::Error failure = Napi::Error::New(env, error.what());
    failure.Set("errno", Napi::Number::New(env, error.code().value()));
    failure.ThrowAsJavaScriptException();
  } catch (const std::bad_alloc&) {
    Napi::Error::New(env, "there is not enough memory; lower the policy's bounds").ThrowAsJavaScriptException();
  } catch (const std::exception& error) {
    Napi::Error::New(env, error.what()).ThrowAsJavaScriptException();
  }
}

}  // namespace p2pxbone
