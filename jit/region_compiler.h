// SPDX-License-Identifier: Apache-2.0
/// The optimising tier as the rest sees it: a region in, position-independent code out.
/// jit/llvm implements it, in a shared object that is loaded when the first region is to be compiled.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "ir/region.h"
#include "jit/baseline/host.h"
#include "jit/code_plan.h"

namespace lyrebird::jit {

struct RegionTarget {
  const ir::StateLayout* layout = nullptr;
  ir::HelperTable helpers;
  baseline::HostFeatures host;
  bool zero_base = true;  ///< every CpuHeader::memory_base is 0
};

struct RegionOptions {
  bool strip_tags = false;  ///< AddressRule::IgnoreTop is done inline, not by the fault path
  bool worthwhile = false;  ///< refuse what would be slower than the baseline's code
};

/// LYREBIRD_LLVM_VERBOSE in the environment: LLVM's IR before and after the passes, and why a region was
/// refused, go to stderr. LYREBIRD_LLVM_BREAK=fatal|fault: the first region ends in an error that LLVM
/// takes for fatal, or in a crash of it; for tests.
class RegionCompiler {
 public:
  virtual ~RegionCompiler() = default;
  /// nullopt: the region is beyond the compiler. One call at a time.
  virtual std::optional<RegionCode> compile(const ir::Region& region, const RegionOptions& options) = 0;
  /// A fatal error of the compiler: it will do nothing more, and is not to be destroyed.
  virtual bool broken() const = 0;
};

/// Loads the module and makes a compiler; what `target` refers to must outlive it. The module stays
/// loaded. An error if there is none.
Result<std::unique_ptr<RegionCompiler>> make_region_compiler(const RegionTarget& target);

/// Which module that is, for regions that are kept: 0 if there is none. Does not load it.
uint64_t region_compiler_id();

/// What the module exports as `lyrebird_make_region_compiler`.
using MakeRegionCompiler = RegionCompiler* (*)(const RegionTarget*);

}  // namespace lyrebird::jit
