// SPDX-License-Identifier: Apache-2.0
/// The 9P2000.L protocol over one folder of the host. See nine_p.h for what a guest may do.
#pragma once

#include <dirent.h>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lyrebird::devices {

/// Takes a message apart; what is not there reads as zeros and makes it !ok().
class NinePReader {
 public:
  explicit NinePReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  template <typename T>
  T get() {
    T value = 0;
    const auto from = take(sizeof(T));
    for (size_t i = 0; i < from.size(); ++i) value |= static_cast<T>(static_cast<uint64_t>(from[i]) << 8 * i);
    return value;
  }
  std::string text() {
    const auto from = take(get<uint16_t>());
    return {from.begin(), from.end()};
  }
  std::span<const uint8_t> take(size_t n) {
    if (n > bytes_.size()) {
      ok_ = false;
      return {};
    }
    const auto part = bytes_.first(n);
    bytes_ = bytes_.subspan(n);
    return part;
  }
  bool ok() const { return ok_; }

 private:
  std::span<const uint8_t> bytes_;
  bool ok_ = true;
};

class NinePWriter {
 public:
  template <typename T>
  void put(T value) {
    for (size_t i = 0; i < sizeof(T); ++i)
      bytes.push_back(static_cast<uint8_t>(static_cast<uint64_t>(value) >> 8 * i));
  }
  void text(const std::string& value) {
    put(static_cast<uint16_t>(value.size()));
    bytes.insert(bytes.end(), value.begin(), value.end());
  }
  std::vector<uint8_t> bytes;
};

class NinePServer {
 public:
  static constexpr uint32_t kMaxMessage = 512 * 1024;
  static constexpr size_t kMaxFids = 4096;

  /// `root`: a descriptor of the folder (O_PATH will do), which it owns.
  NinePServer(int root, bool read_only) : root_(root), read_only_(read_only) {}
  ~NinePServer();

  /// The answer to one message, both whole with their sizes; at most `room` bytes.
  std::vector<uint8_t> answer(std::span<const uint8_t> message, size_t room);

 private:
  struct Fid {
    std::vector<std::string> path;  // from the root
    int fd = -1;                    // open file or folder
    DIR* folder = nullptr;
    ~Fid();
  };
  using Handler = int (NinePServer::*)(NinePReader& in, NinePWriter& out);
  static Handler handler(uint8_t type);

  // Each returns 0 or an errno; `out` is the body of the answer.
  int version(NinePReader& in, NinePWriter& out);
  int attach(NinePReader& in, NinePWriter& out);
  int walk(NinePReader& in, NinePWriter& out);
  int clunk(NinePReader& in, NinePWriter& out);
  int open(NinePReader& in, NinePWriter& out);
  int create(NinePReader& in, NinePWriter& out);
  int read(NinePReader& in, NinePWriter& out);
  int write(NinePReader& in, NinePWriter& out);
  int get_attributes(NinePReader& in, NinePWriter& out);
  int set_attributes(NinePReader& in, NinePWriter& out);
  int read_folder(NinePReader& in, NinePWriter& out);
  int file_system(NinePReader& in, NinePWriter& out);
  template <typename Make>
  int make_name(Fid* folder, const std::string& name, bool ok, NinePWriter& out, Make make);
  int make_folder(NinePReader& in, NinePWriter& out);
  int make_link(NinePReader& in, NinePWriter& out);
  int make_symlink(NinePReader& in, NinePWriter& out);
  int make_node(NinePReader& in, NinePWriter& out);
  int read_link(NinePReader& in, NinePWriter& out);
  int rename(NinePReader& in, NinePWriter& out);
  int rename_at(NinePReader& in, NinePWriter& out);
  int unlink_at(NinePReader& in, NinePWriter& out);
  int remove(NinePReader& in, NinePWriter& out);
  int sync(NinePReader& in, NinePWriter& out);
  int lock(NinePReader& in, NinePWriter& out);
  int get_lock(NinePReader& in, NinePWriter& out);
  int flush(NinePReader& in, NinePWriter& out);
  int no_attributes(NinePReader& in, NinePWriter& out);

  Fid* find(uint32_t number);
  /// A new one under a number that is free; null with an errno.
  Fid* add(uint32_t number, int& error);
  /// An O_PATH descriptor of it, without following a link at its end; -1 with errno.
  int open_path(const std::vector<std::string>& path) const;
  /// The folder it is in; the caller closes it. The root has none: EINVAL.
  int open_parent(const std::vector<std::string>& path) const;
  static bool good_name(const std::string& name);

  const int root_;
  const bool read_only_;
  uint32_t message_size_ = 8192;
  size_t room_ = 0;
  std::map<uint32_t, std::unique_ptr<Fid>> fids_;
};

}  // namespace lyrebird::devices
