// SPDX-License-Identifier: Apache-2.0
// Images that the baseline engine runs from in place.
#if defined(LYREBIRD_TEST_BASELINE) && !defined(LYREBIRD_TEST_LLVM)
#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "jit/persist/image.h"
#include "tests/unit/jit/machine.h"
#include "tests/unit/kept_folder.h"

namespace lyrebird::jit::test {
namespace {

using Images = lyrebird::test::KeptFolder;

std::unique_ptr<persist::Image> make_image(const std::string& path, uint64_t key) {
  const persist::ImageName name{.path = path, .key = key, .of = "a program", .pages = 1};
  persist::ImageWriter writer(name);
  if (!writer.begin(persist::kImageCodeUnit)) return nullptr;
  std::memset(writer.room(64), 0, 64);
  const int mode = writer.mode(0);
  const persist::ImageBlock block{.pc = 0,
                                  .code = 0,
                                  .info = 0,
                                  .guest_size = 4,
                                  .guest_count = 1,
                                  .mode = static_cast<uint8_t>(mode),
                                  .entry = 1};
  const persist::ImagePage page{.hash = 1, .first = 0, .spare = 0};
  const std::vector<uint8_t> info(64);
  if (!writer.finish({&block, 1}, {&page, 1}, info)) return nullptr;
  return persist::Image::open(path, key, 1);
}

/// Their ids are random: of so many, some have the same low bits.
TEST_F(Images, AsManyAsAProgramHasLibrariesAreAllRunFrom) {
  constexpr unsigned kCount = 100;
  std::vector<std::unique_ptr<persist::Image>> images;
  std::set<uint32_t> low;
  Machine machine;
  for (unsigned i = 0; i < kCount; ++i) {
    images.push_back(make_image(directory + "/" + std::to_string(i), 7 + i));
    ASSERT_TRUE(images.back());
    low.insert(images.back()->id() % 128);
    EXPECT_TRUE(machine.engine.attach(*images.back(), uint64_t{i} << 20)) << i;
  }
  EXPECT_LT(low.size(), kCount);
  for (const auto& image : images) machine.engine.detach(*image);
  EXPECT_FALSE(machine.engine.attach(*images[0], 0)) << "it stays until the engine goes";
}

}  // namespace
}  // namespace lyrebird::jit::test
#endif
