// SPDX-License-Identifier: Apache-2.0
/// An image: all translations of one mapping of a guest file as one piece of code whose jumps are
/// linked, made to be run from where the file is mapped. A process starts with all of it at once.
///
/// Written under another name and renamed, never changed after. The header and everything behind it
/// have checksums, which open() verifies; what is in a file with right checksums is believed. So is a
/// file that has the inode and the time of its writing, to the nanosecond, that are in its header,
/// and was written or verified since the host has started: nothing has changed it, and no crash has
/// cut it short. Who cuts an image short while processes run from it kills them, as with a shared library.
///
/// Little endian. In the file: the header (one page), the code, the blocks, the pages, the infos.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/block.h"

namespace lyrebird::jit::persist {

/// Blocks are sorted by pc, then mode; their code lies in the same order.
struct ImageBlock {
  uint32_t pc;    ///< from the start of the guest mapping
  uint32_t code;  ///< offset into the code
  uint32_t info;  ///< offset into the infos
  uint32_t guest_size : 13, guest_count : 8;
  uint32_t mode : 3;   ///< number of the mode
  uint32_t entry : 1;  ///< no other block of the image jumps here directly
  uint32_t start : 7;  ///< offset in its code of where execution starts
};
static_assert(sizeof(ImageBlock) == 16);

/// A page of the guest mapping.
struct ImagePage {
  uint64_t hash;   ///< of its bytes; 0: no block was made from them
  uint32_t first;  ///< number of the first block that starts here or later
  uint32_t spare;
};

inline constexpr uint32_t kImagePageBits = 12;
inline constexpr unsigned kImageModes = 8;                  ///< as ImageBlock::mode has bits
inline constexpr size_t kImageCodeUnit = size_t{64} << 10;  ///< the code's size is a multiple of that

/// Which image: what it is of, for whom.
struct ImageName {
  std::string path;
  uint64_t key = 0;
  std::string of;      ///< for people
  uint32_t pages = 0;  ///< of the guest mapping
};

class Image {
 public:
  /// nullptr if there is none that is for us, and whole. Under a FaultGuard.
  static std::unique_ptr<Image> open(const std::string& path, uint64_t key, uint32_t pages);
  ~Image();
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  uint32_t id() const { return id_; }
  std::span<const ImageBlock> blocks() const { return blocks_; }
  std::span<const ImagePage> pages() const { return pages_; }
  const uint8_t* code() const { return base_ + code_offset_; }
  size_t code_size() const { return code_size_; }
  const uint8_t* info(const ImageBlock& block) const { return infos_ + block.info; }
  uint32_t mode(const ImageBlock& block) const { return modes_[block.mode]; }
  /// The block's number, or -1.
  int64_t find(uint64_t pc, uint32_t mode) const;
  /// Number of the block whose code is at or before the offset.
  uint32_t at_code(uint64_t offset) const;

  /// The file, to map the code from; until close_file().
  int file() const { return fd_; }
  uint64_t code_offset() const { return code_offset_; }
  void close_file();

 private:
  Image() = default;
  const uint8_t* base_ = nullptr;
  size_t size_ = 0;
  int fd_ = -1;
  uint32_t id_ = 0;
  uint64_t code_offset_ = 0, code_size_ = 0;
  std::span<const ImageBlock> blocks_;
  std::span<const ImagePage> pages_;
  const uint8_t* infos_ = nullptr;
  uint32_t modes_[kImageModes] = {};
};

/// Writes an image. Code first, in order; then the rest.
class ImageWriter {
 public:
  explicit ImageWriter(ImageName name);
  ~ImageWriter();  ///< without finish(): nothing happened
  ImageWriter(const ImageWriter&) = delete;
  ImageWriter& operator=(const ImageWriter&) = delete;

  const ImageName& name() const { return name_; }
  /// What the image will be called in owner words; of its contents' author's choice.
  uint32_t id() const { return id_; }
  /// `bytes`: about how many there will be in all. False: they can't be written.
  bool begin(uint64_t bytes);
  /// Room for the next `size` bytes; until the next call.
  uint8_t* room(size_t size);
  /// Number of the mode, or -1: there are too many.
  int mode(uint32_t mode);
  std::span<const uint32_t> modes() const { return modes_; }
  bool finish(std::span<const ImageBlock> blocks, std::span<const ImagePage> pages,
              std::span<const uint8_t> infos);

 private:
  bool flush(bool all);
  bool put(std::span<const uint8_t> bytes);

  const ImageName name_;
  uint32_t id_ = 0;
  std::string temporary_;
  int fd_ = -1;
  bool failed_ = false;
  std::vector<uint8_t> buffer_;
  size_t filled_ = 0;
  uint64_t written_ = 0;  ///< behind the header
  uint64_t sum_ = 0;
  uint32_t modes_[kImageModes] = {};
  unsigned mode_count_ = 0;
};

struct ImageInfo {
  bool valid = false;
  bool whole = false;  ///< the checksum is right (check_all only)
  uint64_t bytes = 0, blocks = 0, code_bytes = 0;
  std::string of;
};
ImageInfo inspect_image(const std::string& path, bool check_all);

}  // namespace lyrebird::jit::persist
