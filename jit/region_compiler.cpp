// SPDX-License-Identifier: Apache-2.0
#include "jit/region_compiler.h"

#if defined(LYREBIRD_STATIC)
#include "base/module.h"
#else
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#endif
#include <string>

namespace lyrebird::jit {

namespace {

constexpr const char* kFunction = "lyrebird_make_region_compiler";

#if defined(LYREBIRD_STATIC)
Result<MakeRegionCompiler> find_function() {
  const Result<void*> found = module_function(kFunction);
  if (!found) return Error{found.error().message + "; -jit baseline does without"};
  return reinterpret_cast<MakeRegionCompiler>(*found);
}
#else
constexpr const char* kModule = "liblyrebird_llvm.so";

/// Beside the program, in the lib directory next to it, or (the tests) above it. Calls f(path) for each that
/// is there, until it says true.
template <typename F>
void each_module(F f) {
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0) return;
  std::string folder(path, static_cast<size_t>(size));
  folder.resize(folder.find_last_of('/') + 1);
  for (const char* const way : {"", "../lib/lyrebird/", "../lib/", "../", "../../", "../../../"}) {
    const std::string file = folder + way + kModule;
    if (access(file.c_str(), R_OK) == 0 && f(file)) return;
  }
}

void* open_module(std::string& tried) {
  void* module = nullptr;
  each_module([&](const std::string& file) {
    module = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!module) tried = dlerror();
    return module != nullptr;
  });
  return module;
}

Result<MakeRegionCompiler> find_function() {
  std::string tried;
  void* const module = open_module(tried);
  if (!module)
    return Error{tried.empty()
                     ? std::string(kModule) + " is neither beside the program nor in its lib directory"
                     : tried};
  if (void* const function = dlsym(module, kFunction)) return reinterpret_cast<MakeRegionCompiler>(function);
  return Error{std::string(kModule) + " is of another version: install it again"};
}
#endif

}  // namespace

uint64_t region_compiler_id() {
#if defined(LYREBIRD_STATIC)
  return 1;  // the build's id says the rest
#else
  uint64_t id = 0;
  each_module([&](const std::string& file) {
    struct stat st;
    if (stat(file.c_str(), &st) != 0) return false;
    id = static_cast<uint64_t>(st.st_size) << 32 ^ static_cast<uint64_t>(st.st_mtim.tv_sec) << 2 ^
         static_cast<uint64_t>(st.st_mtim.tv_nsec) << 34;
    id |= 1;
    return true;
  });
  return id;
#endif
}

Result<std::unique_ptr<RegionCompiler>> make_region_compiler(const RegionTarget& target) {
  const Result<MakeRegionCompiler> make = find_function();
  if (!make) return make.error();
  return std::unique_ptr<RegionCompiler>((*make)(&target));
}

}  // namespace lyrebird::jit
