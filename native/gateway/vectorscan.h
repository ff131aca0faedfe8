// What Vectorscan gives out, owned.
#pragma once

#include <hs/hs.h>

#include <memory>

namespace p2pxbone::gateway::vectorscan {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    (void)Free(object);
  }
};

using Database = std::unique_ptr<hs_database_t, Deleter<hs_free_database>>;
using CompileError = std::unique_ptr<hs_compile_error_t, Deleter<hs_free_compile_error>>;
using MatchSpace = std::unique_ptr<hs_scratch_t, Deleter<hs_free_scratch>>;

}  // namespace p2pxbone::gateway::vectorscan
