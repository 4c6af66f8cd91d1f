// SPDX-License-Identifier: Apache-2.0
#include "user/path/root.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>

namespace lyrebird::user {
namespace {

class RootTest : public ::testing::Test {
 protected:
  RootTest() {
    char name[] = "/tmp/lyrebird-root.XXXXXX";
    base = ::mkdtemp(name);
    char other[] = "/tmp/lyrebird-host.XXXXXX";
    host = ::mkdtemp(other);
    for (const char* directory : {"/etc", "/usr", "/usr/lib", "/tmp"})
      ::mkdir((base + directory).c_str(), 0755);
    std::ofstream(base + "/usr/lib/ld.so") << "x";
    std::ofstream(base + "/etc/name") << "x";
    link("usr/lib", base + "/lib");
    link("/lib/ld.so", base + "/etc/absolute");
    link("../usr/lib/ld.so", base + "/etc/relative");
    link("../../../../etc/name", base + "/etc/above");
    link("/etc/loop", base + "/etc/loop");
    link("/nowhere", base + "/etc/dangling");
    root = Root(base);
  }
  ~RootTest() override { (void)!std::system(("rm -rf " + base + " " + host).c_str()); }
  void link(const std::string& target, const std::string& name) {
    ASSERT_EQ(::symlink(target.c_str(), name.c_str()), 0);
  }
  std::string follow(const std::string& path) { return root.translate(path, true).text; }
  std::string leave(const std::string& path) { return root.translate(path, false).text; }

  std::string base, host;  // the root; a directory outside it
  Root root;
};

TEST_F(RootTest, FilesInTheRootAreFound) { EXPECT_EQ(follow("/etc/name"), base + "/etc/name"); }

TEST_F(RootTest, WhatIsNotInTheRootIsTheHosts) { EXPECT_EQ(follow("/bin/none"), "/bin/none"); }

TEST_F(RootTest, NewNamesGoWhereTheirDirectoryIs) {
  ::mkdir((base + "/usr/lib/only-in-the-root").c_str(), 0755);
  link("/lib/only-in-the-root/new", host + "/link");
  EXPECT_EQ(follow("/usr/lib/only-in-the-root/new"), base + "/usr/lib/only-in-the-root/new");
  EXPECT_EQ(leave("/lib/only-in-the-root/new"), base + "/usr/lib/only-in-the-root/new");
  EXPECT_EQ(follow("/lib/only-in-the-root/a/b"), base + "/usr/lib/only-in-the-root/a/b");
  EXPECT_EQ(follow(host + "/link"), base + "/usr/lib/only-in-the-root/new");
  EXPECT_EQ(follow("/etc/new"), "/etc/new");
  EXPECT_EQ(follow("/etc/dangling"), "/nowhere");
}

TEST_F(RootTest, AbsoluteLinksStayInTheRoot) {
  EXPECT_EQ(follow("/lib/ld.so"), base + "/usr/lib/ld.so");
  EXPECT_EQ(follow("/etc/absolute"), base + "/usr/lib/ld.so");
  EXPECT_EQ(follow("/etc/relative"), base + "/usr/lib/ld.so");
}

TEST_F(RootTest, LinksOfTheHostLeadIntoTheRoot) {
  link("/etc/name", host + "/absolute");
  link("../../etc/name", host + "/relative");
  link("absolute", host + "/chain");
  link("/etc/absolute", host + "/into-a-chain");
  link("/usr", host + "/directory");
  EXPECT_EQ(follow(host + "/absolute"), base + "/etc/name");
  EXPECT_EQ(follow(host + "/relative"), base + "/etc/name");
  EXPECT_EQ(follow(host + "/chain"), base + "/etc/name");
  EXPECT_EQ(follow(host + "/into-a-chain"), base + "/usr/lib/ld.so");
  EXPECT_EQ(leave(host + "/directory/lib/ld.so"), base + "/usr/lib/ld.so");
  EXPECT_EQ(leave(host + "/chain"), host + "/chain");
}

TEST_F(RootTest, LinksOfTheRootLeadToTheHost) {
  std::ofstream(host + "/file") << "x";
  link(host + "/file", base + "/etc/out");
  link("../proc/self/mounts", base + "/etc/mtab");
  EXPECT_EQ(follow("/etc/out"), host + "/file");
  EXPECT_EQ(follow("/etc/mtab"), "/proc/self/mounts");
}

TEST_F(RootTest, WhatTheKernelFindsKeepsItsName) {
  std::ofstream(host + "/file") << "x";
  link("file", host + "/chain");
  link(host + "/chain", host + "/link");
  link("/nowhere", host + "/dangling");
  for (const char* name : {"/file", "/chain", "/link", "/dangling", "/dangling/x", "/file/x"})
    EXPECT_EQ(follow(host + name), host + name);
}

TEST_F(RootTest, RelativePathsStayInTheirDirectoryUntilALinkLeavesIt) {
  link("/etc/name", host + "/absolute");
  link("../../etc/name", host + "/relative");
  link("../etc/name", base + "/usr/sideways");
  const int outside = ::open(host.c_str(), O_PATH), inside = ::open((base + "/usr").c_str(), O_PATH);
  EXPECT_EQ(root.translate("absolute", true, outside).text, base + "/etc/name");
  EXPECT_EQ(root.translate("./relative", true, outside).text, base + "/etc/name");
  EXPECT_EQ(root.translate("absolute", false, outside).text, "absolute");
  EXPECT_EQ(root.translate("sideways", true, inside).text, base + "/etc/name");
  EXPECT_EQ(root.translate("../../etc/name", true, inside).text, base + "/etc/name");
  EXPECT_EQ(root.translate("lib/new", true, inside).text, "lib/new");
  EXPECT_EQ(root.translate("bin/env", true, inside).text, "bin/env");
  ::close(outside);
  ::close(inside);
}

TEST_F(RootTest, DotDotStopsAtTheRoot) {
  EXPECT_EQ(follow("/etc/above"), base + "/etc/name");
  EXPECT_EQ(follow("/../../etc/name"), base + "/etc/name");
}

TEST_F(RootTest, TheLastLinkIsLeftWhenAsked) {
  EXPECT_EQ(leave("/etc/absolute"), base + "/etc/absolute");
  EXPECT_EQ(leave("/etc/dangling"), base + "/etc/dangling");
  EXPECT_EQ(leave("/etc/loop"), base + "/etc/loop");
}

TEST_F(RootTest, LoopsHaveNoEnd) {
  link("/etc/back", host + "/there");
  link(host + "/there", base + "/etc/back");
  EXPECT_EQ(root.translate("/etc/loop", true).error, -ELOOP);
  EXPECT_EQ(root.translate(host + "/there", true).error, -ELOOP);
  EXPECT_EQ(root.translate(host + "/there/below", false).error, -ELOOP);
}

TEST_F(RootTest, SystemDirectoriesAreTheHosts) { EXPECT_EQ(follow("/tmp"), "/tmp"); }

TEST_F(RootTest, GuestNamesComeBack) {
  EXPECT_EQ(root.to_guest(base + "/etc/name"), "/etc/name");
  EXPECT_EQ(root.to_guest(base), "/");
  EXPECT_EQ(root.to_guest("/etc/name"), "/etc/name");
  EXPECT_EQ(root.to_guest(base + "/tmp"), base + "/tmp");
  EXPECT_EQ(root.to_guest(base + "x/etc"), base + "x/etc");
}

TEST_F(RootTest, NoRootChangesNothing) { EXPECT_EQ(Root().translate("/etc/name", true).text, "/etc/name"); }

}  // namespace
}  // namespace lyrebird::user
