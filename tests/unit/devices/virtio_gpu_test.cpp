// SPDX-License-Identifier: Apache-2.0
// The GPU device's 2D commands (Virtual I/O Device 1.2, 5.7.6), for both layouts of rings.
#include <gtest/gtest.h>

#include <numeric>

#include "devices/virtio/edid.h"
#include "devices/virtio/gpu.h"
#include "tests/unit/devices/virtio_driver.h"

namespace lyrebird::devices::test {
namespace {

constexpr uint32_t kOk = 0x1100, kUnspec = 0x1200, kNoMemory = 0x1201, kBadScanout = 0x1202,
                   kBadResource = 0x1203, kBadParameter = 0x1205;

class Gpu : public testing::TestWithParam<RingKind> {
 protected:
  void SetUp() override { ASSERT_TRUE(driver.start(2)); }

  /// Sends header and words; the answer's type. `answer` keeps its bytes.
  uint32_t send(uint32_t type, std::vector<uint32_t> words, unsigned queue = 0, uint32_t flags = 0,
                uint64_t fence = 0) {
    words.insert(words.begin(),
                 {type, flags, static_cast<uint32_t>(fence), static_cast<uint32_t>(fence >> 32), 0, 0});
    const auto size = static_cast<uint32_t>(4 * words.size());
    const uint64_t out = board.allocate(size), in = board.allocate(2048);
    std::memcpy(board.host(out), words.data(), size);
    std::memset(board.host(in), 0xee, 2048);
    const auto used = driver.request(queue, {{out, size, false}, {in, 2048, true}});
    if (!used) return 0;
    answer.assign(board.host(in), board.host(in) + used->written);
    return board.get<uint32_t>(in);
  }
  uint32_t word(size_t at) const {
    uint32_t value;
    std::memcpy(&value, answer.data() + at, 4);
    return value;
  }
  /// A 4 by 2 image, id 1, whose pages are in two pieces; pixel i is 0x010203 * (i + 1).
  void make_image(uint32_t format = 1) {
    ASSERT_EQ(send(0x101, {1, format, 4, 2}), kOk);
    pixels = board.allocate(64);
    for (uint32_t i = 0; i < 8; ++i) board.put<uint32_t>(at(i), 0x010203 * (i + 1));
    const auto low = static_cast<uint32_t>(pixels);
    ASSERT_EQ(send(0x106, {1, 2, low, 0, 20, 0, low + 32, 0, 12, 0}), kOk);
  }
  uint64_t at(uint32_t i) const { return pixels + 4 * i + (i < 5 ? 0 : 12); }

  Board board;
  VirtioGpu gpu{{.virtio = {.id = "gpu", .packed = true},
                 .width = 640,
                 .height = 480,
                 .outputs = 2,
                 .max_bytes = 1 << 20},
                *board.memory,
                board.loop};
  MmioTransport transport{board, gpu};
  Driver driver{board, transport, GetParam()};
  std::vector<uint8_t> answer;
  uint64_t pixels = 0;
};

TEST_P(Gpu, SaysItsModes) {
  ASSERT_EQ(send(0x100, {}), 0x1101u);
  ASSERT_EQ(answer.size(), 24u + 16 * 24);
  EXPECT_EQ(word(24 + 8), 640u);
  EXPECT_EQ(word(24 + 12), 480u);
  EXPECT_EQ(word(24 + 16), 1u);
  EXPECT_EQ(word(24 + 24 + 16), 1u);
  EXPECT_EQ(word(24 + 48 + 16), 0u) << "there are two outputs";
  EXPECT_EQ(transport.config(8, 4), 2u);
}

TEST_P(Gpu, EdidHasThePreferredMode) {
  ASSERT_EQ(send(0x10a, {1, 0}), 0x1104u);
  ASSERT_EQ(word(24), 128u);
  const uint8_t* const edid = answer.data() + 32;
  EXPECT_EQ(std::accumulate(edid, edid + 128, 0) % 256, 0);
  EXPECT_EQ(edid[56] | (edid[58] >> 4) << 8, 640);
  EXPECT_EQ(edid[59] | (edid[61] >> 4) << 8, 480);
  EXPECT_EQ(send(0x10a, {2, 0}), kBadScanout);
}

TEST_P(Gpu, ShowsWhatWasFlushed) {
  make_image();
  ui::Screen& screen = *gpu.screens()[0];
  EXPECT_TRUE(screen.picture().empty());
  ASSERT_EQ(send(0x103, {1, 0, 3, 2, 0, 1}), kOk);
  ASSERT_EQ(send(0x105, {0, 0, 4, 2, 0, 0, 1, 0}), kOk);
  EXPECT_EQ(screen.picture().pixels[0], 0u) << "not flushed";
  ASSERT_EQ(send(0x104, {0, 0, 4, 2, 1, 0}), kOk);
  const ui::Picture picture = screen.picture();
  ASSERT_EQ(picture.width, 3u);
  ASSERT_EQ(picture.height, 2u);
  for (uint32_t y = 0; y < 2; ++y) {
    for (uint32_t x = 0; x < 3; ++x) EXPECT_EQ(picture.pixels[3 * y + x], 0x010203 * (4 * y + x + 2));
  }
  EXPECT_TRUE(gpu.screens()[1]->picture().empty());
}

TEST_P(Gpu, TransfersARectangle) {
  make_image();
  ASSERT_EQ(send(0x103, {0, 0, 4, 2, 1, 1}), kOk);
  // Pixel (2, 1) from where pixel (1, 1) is in memory.
  ASSERT_EQ(send(0x105, {2, 1, 1, 1, 20, 0, 1, 0}), kOk);
  ASSERT_EQ(send(0x104, {2, 1, 1, 1, 1, 0}), kOk);
  const ui::Picture picture = gpu.screens()[1]->picture();
  for (uint32_t i = 0; i < 8; ++i) EXPECT_EQ(picture.pixels[i], i == 6 ? 0x010203u * 6 : 0u) << i;
}

TEST_P(Gpu, FormatsAreNamedByTheirBytesInMemory) {
  constexpr std::pair<uint32_t, uint32_t> kCases[] = {{1, 0x332211},   {2, 0x332211},  {3, 0x223344},
                                                      {4, 0x223344},   {67, 0x112233}, {68, 0x443322},
                                                      {121, 0x443322}, {134, 0x112233}};
  for (const auto& [format, colour] : kCases) {
    make_image(format);
    board.put<uint32_t>(at(0), 0x44332211);  // 11 22 33 44
    ASSERT_EQ(send(0x105, {0, 0, 1, 1, 0, 0, 1, 0}), kOk);
    ASSERT_EQ(send(0x103, {0, 0, 4, 2, 0, 1}), kOk);
    EXPECT_EQ(gpu.screens()[0]->picture().pixels[0], colour) << format;
    ASSERT_EQ(send(0x102, {1, 0}), kOk);
    EXPECT_TRUE(gpu.screens()[0]->picture().empty());
  }
}

TEST_P(Gpu, ThePointerIsDrawnOver) {
  make_image();
  ASSERT_EQ(send(0x103, {0, 0, 4, 2, 0, 1}), kOk);
  ASSERT_EQ(send(0x101, {2, 1, 1, 1}), kOk);
  const uint64_t image = board.allocate(4);
  board.put<uint32_t>(image, 0xff00ff00);
  ASSERT_EQ(send(0x106, {2, 1, static_cast<uint32_t>(image), 0, 4, 0}), kOk);
  ASSERT_EQ(send(0x105, {0, 0, 1, 1, 0, 0, 2, 0}), kOk);
  ASSERT_EQ(send(0x300, {0, 3, 1, 0, 2, 0, 0, 0}, 1), kOk);
  EXPECT_EQ(gpu.screens()[0]->picture().pixels[7], 0x00ff00u);
  ASSERT_EQ(send(0x301, {0, 0, 0, 0, 0, 0, 0, 0}, 1), kOk);
  EXPECT_EQ(gpu.screens()[0]->picture().pixels[0], 0x00ff00u);
  EXPECT_EQ(gpu.screens()[0]->picture().pixels[7], 0u);
}

TEST_P(Gpu, WhatMakesNoSenseIsAnError) {
  make_image();
  EXPECT_EQ(send(0x101, {0, 1, 4, 4}), kBadResource);
  EXPECT_EQ(send(0x101, {1, 1, 4, 4}), kBadResource) << "is there already";
  EXPECT_EQ(send(0x101, {2, 5, 4, 4}), kBadParameter);
  EXPECT_EQ(send(0x101, {2, 1, 0, 4}), kBadParameter);
  EXPECT_EQ(send(0x101, {2, 1, 0x8000'0000, 0x8000'0000}), kNoMemory);
  EXPECT_EQ(send(0x102, {9, 0}), kBadResource);
  EXPECT_EQ(send(0x103, {0, 0, 4, 2, 2, 1}), kBadScanout);
  EXPECT_EQ(send(0x103, {0, 0, 5, 2, 0, 1}), kBadParameter);
  EXPECT_EQ(send(0x103, {0xffff'ffff, 0, 2, 2, 0, 1}), kBadParameter);
  EXPECT_EQ(send(0x104, {0, 1, 4, 2, 1, 0}), kBadParameter);
  EXPECT_EQ(send(0x105, {0, 0, 4, 2, 4, 0, 1, 0}), kBadParameter) << "the backing ends before";
  EXPECT_EQ(send(0x105, {0, 0, 4, 2, 0xffff'fff0, 0xffff'ffff, 1, 0}), kBadParameter);
  EXPECT_EQ(send(0x106, {1, 1, 0, 0, 4, 0}), kUnspec) << "has one";
  EXPECT_EQ(send(0x107, {1, 0}), kOk);
  EXPECT_EQ(send(0x105, {0, 0, 4, 2, 0, 0, 1, 0}), kUnspec) << "has none";
  EXPECT_EQ(send(0x106, {1, 20000}), kBadParameter);
  EXPECT_EQ(send(0x106, {1, 1000}), kBadParameter) << "the request ends before";
  EXPECT_EQ(send(0x106, {1, 1, 0, 0, 4096, 0}), kOk);
  EXPECT_EQ(send(0x105, {0, 0, 4, 2, 0, 0, 1, 0}), kBadParameter) << "there is no RAM";
  EXPECT_EQ(send(0x10b, {}), kUnspec);
  EXPECT_EQ(send(0x300, {0, 0, 0, 0, 0, 0, 0, 0}, 0), kUnspec) << "is of the other queue";
  EXPECT_EQ(send(0x100, {}, 1), kUnspec);
  EXPECT_FALSE(transport.status() & kStatusNeedsReset);
}

TEST_P(Gpu, WhatImagesTakeIsBounded) {
  unsigned made = 0;
  while (made < 1000 && send(0x101, {made + 1, 1, 1, 1}) == kOk) board.allocate(0), ++made;
  EXPECT_EQ(made, (1u << 20) / 4100);
  EXPECT_EQ(send(0x102, {1, 0}), kOk);
  EXPECT_EQ(send(0x101, {5000, 1, 1, 1}), kOk) << "what was given back can be had again";
}

TEST_P(Gpu, AFenceComesBack) {
  EXPECT_EQ(send(0x100, {}, 0, 1, 0x1234'5678'9abc), 0x1101u);
  EXPECT_EQ(word(4), 1u);
  EXPECT_EQ(word(8), 0x5678'9abcu);
  EXPECT_EQ(word(12), 0x1234u);
}

TEST_P(Gpu, IsSavedWithItsImages) {
  make_image();
  ASSERT_EQ(send(0x103, {0, 0, 4, 2, 0, 1}), kOk);
  ASSERT_EQ(send(0x105, {0, 0, 4, 2, 0, 0, 1, 0}), kOk);
  ASSERT_EQ(send(0x104, {0, 0, 4, 2, 1, 0}), kOk);
  const ui::Picture before = gpu.screens()[0]->picture();
  system::StateWriter to;
  gpu.save(to);
  ASSERT_EQ(send(0x102, {1, 0}), kOk);
  const auto load = [&](std::span<const uint8_t> data) {
    system::StateReader from(data);
    return gpu.load(from).ok();
  };
  ASSERT_TRUE(load(to.data()));
  EXPECT_EQ(gpu.screens()[0]->picture().pixels, before.pixels);
  std::vector<uint8_t> bad = to.data();
  bad.resize(bad.size() / 2);
  EXPECT_FALSE(load(bad));
}

INSTANTIATE_TEST_SUITE_P(Rings, Gpu,
                         testing::Values(RingKind{},
                                         RingKind{.packed = true, .event_index = true, .indirect = true}),
                         [](const auto& kind) { return kind.param.packed ? "packed" : "split"; });

}  // namespace
}  // namespace lyrebird::devices::test
