// SPDX-License-Identifier: Apache-2.0
/// Fields that hold flags, which are computed when somebody looks.
///
/// Guest code sets flags far more often than it reads them, but they must be right at every fault and
/// exit. So the region keeps what they are made of (leaves: values that live on anyway, if possible) and
/// which recipe makes them of it (jit/recovery.h). All flags of a guest are one group with one recipe at a
/// time, so that a loop carries one number and a few values and not every flag.
#pragma once

#include <bitset>
#include <cstdint>
#include <vector>

#include "ir/region.h"
#include "jit/llvm/dirty.h"
#include "jit/recovery.h"

namespace lyrebird::jit::lowering {

inline constexpr unsigned kMaxLeaves = 4;
inline constexpr unsigned kMaxRecipes = 64;
/// Recipes that may be in force; bit 0: the flags are in memory.
using RecipeSet = std::bitset<kMaxRecipes>;

/// What a recipe is made of.
struct Leaf {
  ir::ValueId value = ir::kNoValue;  ///< of the block, or:
  int field = -1;                    ///< what the field's home holds
};

/// From now on the flags are `recipe` of `leaves`.
struct LazyEvent {
  uint32_t at = 0;  ///< before the instruction of that index
  uint32_t recipe = 0;
  std::vector<Leaf> leaves;
};

class LazyFlags {
 public:
  /// `places`: as for flushes().
  void find(const ir::Region& region, const std::vector<Field>& fields, const FieldMap& map,
            ir::HelperTable helpers, bool places);

  const FieldSet& group() const { return group_; }
  const std::vector<LazyEvent>& events(size_t part) const { return events_[part]; }
  /// By number; the first stands for flags in memory.
  const std::vector<FlagRecipe>& recipes() const { return recipes_; }
  const RecipeSet& at_start(size_t part) const { return in_[part]; }

 private:
  class Builder;
  void find_group(const ir::Region& region, const FieldMap& map);
  bool find_events(const ir::Region& region, size_t part, const FieldMap& map, ir::HelperTable helpers);
  void flow(const ir::Region& region, bool places, const FieldMap& map);
  uint32_t number_of(FlagRecipe recipe);

  const std::vector<Field>* fields_ = nullptr;
  FieldSet group_;
  std::vector<std::vector<LazyEvent>> events_;
  std::vector<FlagRecipe> recipes_;
  std::vector<RecipeSet> in_;
};

/// Whether an access to the state concerns fields of the group otherwise than as one whole field.
bool splits_group(const FieldMap::Hit& hit, const FieldSet& group);

}  // namespace lyrebird::jit::lowering
