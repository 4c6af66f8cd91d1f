// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/cpu_model.h"

namespace lyrebird::arm {
namespace {

constexpr Features all_features() {
  Features f;
  for (unsigned i = 0; i < static_cast<unsigned>(Feature::Count); ++i) f.add(static_cast<Feature>(i));
  return f;
}

constexpr CpuModel kModels[] = {
    {.name = "max", .features = all_features(), .midr = 0x000f0510},
};

}  // namespace

std::span<const CpuModel> cpu_models() { return kModels; }

const CpuModel* find_cpu_model(std::string_view name) {
  for (const CpuModel& model : kModels)
    if (model.name == name) return &model;
  return nullptr;
}

std::optional<uint64_t> id_register(const CpuModel& model, unsigned m, unsigned op2) {
  if (m == 0 && op2 == 0) return model.midr;
  return std::nullopt;
}

}  // namespace lyrebird::arm
