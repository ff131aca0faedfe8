// Files that begin with anything: a type is found, and pieces give the same one.
#include <cstdlib>

#include "gateway/file_type.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace p2pxbone::gateway;
  const std::span<const uint8_t> file{data, size};
  const FileType whole = fileTypeOf(file);
  FileTypeProbe probe;
  for (size_t i = 0; i < size; ++i) (void)probe.data(file.subspan(i, 1));
  if (whole.name.empty() || probe.type().name != whole.name) std::abort();
  return 0;
}
