// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "devices/virtio/nine_p_server.h"

namespace lyrebird::devices {
namespace {

class NineP : public testing::Test {
 protected:
  NineP() {
    char name[] = "/tmp/lyrebird_9p.XXXXXX";
    folder = ::mkdtemp(name);
    std::filesystem::create_directories(folder + "/root/sub");
    std::ofstream(folder + "/secret") << "outside";
    std::ofstream(folder + "/root/file") << "inside";
    std::filesystem::create_symlink("/", folder + "/root/out");
  }
  ~NineP() override { std::filesystem::remove_all(folder); }
  void start(bool read_only = false) {
    server =
        std::make_unique<NinePServer>(::open((folder + "/root").c_str(), O_PATH | O_DIRECTORY), read_only);
    NinePWriter version;
    version.put<uint32_t>(65536);
    version.text("9P2000.L");
    EXPECT_EQ(ask(100, version), 0);
    NinePWriter attach;
    attach.put<uint32_t>(0);
    EXPECT_EQ(ask(104, attach), 0);
  }
  /// 0 or the errno; the body of the answer is in `body`.
  int ask(uint8_t type, const NinePWriter& request, size_t room = 65536) {
    NinePWriter whole;
    whole.put<uint32_t>(static_cast<uint32_t>(7 + request.bytes.size()));
    whole.put<uint8_t>(type);
    whole.put<uint16_t>(1);
    whole.bytes.insert(whole.bytes.end(), request.bytes.begin(), request.bytes.end());
    const auto answer = server->answer(whole.bytes, room);
    EXPECT_LE(answer.size(), room);
    NinePReader in(answer);
    EXPECT_EQ(in.get<uint32_t>(), answer.size());
    const uint8_t kind = in.get<uint8_t>();
    in.get<uint16_t>();
    body.assign(answer.begin() + 7, answer.end());
    if (kind != 7) {
      EXPECT_EQ(kind, type + 1);
      return 0;
    }
    return static_cast<int>(in.get<uint32_t>());
  }
  /// From fid 0; how many steps were made is in body.
  int walk(uint32_t to, const std::vector<std::string>& names) {
    NinePWriter w;
    w.put<uint32_t>(0);
    w.put<uint32_t>(to);
    w.put<uint16_t>(static_cast<uint16_t>(names.size()));
    for (const auto& name : names) w.text(name);
    return ask(110, w);
  }
  int open(uint32_t fid, uint32_t flags) {
    NinePWriter w;
    w.put(fid);
    w.put(flags);
    return ask(12, w);
  }
  std::string read(uint32_t fid, uint32_t count) {
    NinePWriter w;
    w.put(fid);
    w.put<uint64_t>(0);
    w.put(count);
    EXPECT_EQ(ask(116, w), 0);
    return {body.begin() + 4, body.end()};
  }

  std::string folder;
  std::unique_ptr<NinePServer> server;
  std::vector<uint8_t> body;
};

TEST_F(NineP, FilesAreRead) {
  start();
  ASSERT_EQ(walk(1, {"sub", "..", "file"}), 0);
  ASSERT_EQ(open(1, 0), 0);
  EXPECT_EQ(read(1, 100), "inside");
  EXPECT_EQ(read(1, 3), "ins");
}

TEST_F(NineP, NothingOutsideIsReached) {
  start();
  EXPECT_EQ(walk(1, {"..", "..", "file"}), 0) << "the top's parent is the top";
  EXPECT_EQ(walk(2, {"../secret"}), ENOENT);
  EXPECT_EQ(walk(2, {"/etc"}), ENOENT);
  EXPECT_EQ(walk(2, {""}), ENOENT);
  EXPECT_EQ(walk(2, {std::string("file\0x", 6)}), ENOENT);
  ASSERT_EQ(walk(2, {"out", "etc"}), 0);
  EXPECT_EQ(body[0], 1) << "a link is no folder: only the link itself";
  ASSERT_EQ(walk(3, {"out"}), 0);
  EXPECT_EQ(open(3, 0), ENXIO) << "a link is not followed here";
  // A folder that becomes a link behind the server's back.
  ASSERT_EQ(walk(4, {"sub"}), 0);
  std::filesystem::remove(folder + "/root/sub");
  std::filesystem::create_symlink("/tmp", folder + "/root/sub");
  EXPECT_NE(open(4, 0200000), 0);
}

TEST_F(NineP, NamesWithSlashesAreRefusedEverywhere) {
  start();
  for (const char* name : {"a/b", "..", ".", ""}) {
    NinePWriter create;
    create.put<uint32_t>(0);
    create.text(name);
    create.put<uint32_t>(1);
    create.put<uint32_t>(0644);
    create.put<uint32_t>(0);
    EXPECT_EQ(ask(14, create), EINVAL) << name;
    NinePWriter folder_request;
    folder_request.put<uint32_t>(0);
    folder_request.text(name);
    folder_request.put<uint32_t>(0755);
    folder_request.put<uint32_t>(0);
    EXPECT_EQ(ask(72, folder_request), EINVAL) << name;
    NinePWriter unlink;
    unlink.put<uint32_t>(0);
    unlink.text(name);
    unlink.put<uint32_t>(0x200);
    EXPECT_EQ(ask(76, unlink), EINVAL) << name;
  }
}

TEST_F(NineP, AReadOnlyShareStaysAsItIs) {
  start(true);
  ASSERT_EQ(walk(1, {"file"}), 0);
  EXPECT_EQ(open(1, 1), EROFS);
  EXPECT_EQ(open(1, 01000), EROFS);
  EXPECT_EQ(open(1, 0), 0);
  NinePWriter remove;
  remove.put<uint32_t>(1);
  EXPECT_EQ(ask(122, remove), EROFS);
  EXPECT_TRUE(std::filesystem::exists(folder + "/root/file"));
}

TEST_F(NineP, FidsAreChecked) {
  start();
  EXPECT_EQ(walk(0, {}), 0);
  EXPECT_EQ(walk(1, {"file"}), 0);
  EXPECT_EQ(walk(1, {"sub"}), EBADF) << "is in use";
  EXPECT_EQ(open(77, 0), EBADF);
  EXPECT_EQ(open(1, 0), 0);
  EXPECT_EQ(open(1, 0), EBADF) << "is open";
  NinePWriter read_folder;
  read_folder.put<uint32_t>(1);
  read_folder.put<uint64_t>(0);
  read_folder.put<uint32_t>(100);
  EXPECT_EQ(ask(40, read_folder), EBADF) << "is no folder";
}

TEST_F(NineP, MessagesThatEndTooSoonAreErrors) {
  start();
  NinePWriter fid_only;
  fid_only.put<uint32_t>(0);
  EXPECT_EQ(ask(72, fid_only), EINVAL);
  EXPECT_EQ(ask(14, fid_only), EINVAL);
  EXPECT_EQ(ask(200, {}), EOPNOTSUPP);
  const std::vector<uint8_t> torn = {9, 0};
  EXPECT_EQ(server->answer(torn, 100).size(), 11u);
}

TEST_F(NineP, AnswersFitIntoTheirRoom) {
  start();
  for (int i = 0; i < 50; ++i) std::ofstream(folder + "/root/entry" + std::to_string(i)) << i;
  ASSERT_EQ(walk(1, {}), 0);
  ASSERT_EQ(open(1, 0200000), 0);
  NinePWriter list;
  list.put<uint32_t>(1);
  list.put<uint64_t>(0);
  list.put<uint32_t>(60000);
  EXPECT_EQ(ask(40, list, 300), 0);
  EXPECT_GT(body.size(), 200u);
  NinePWriter attributes;
  attributes.put<uint32_t>(1);
  attributes.put<uint64_t>(0x7ff);
  EXPECT_EQ(ask(24, attributes, 20), EMSGSIZE);
}

}  // namespace
}  // namespace lyrebird::devices
