// SPDX-License-Identifier: Apache-2.0
#include "user/path/root.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace lyrebird::user {
namespace {

class RootTest : public ::testing::Test {
 protected:
  RootTest() {
    char name[] = "/tmp/lyrebird-root.XXXXXX";
    base = ::mkdtemp(name);
    for (const char* directory : {"/etc", "/usr", "/usr/lib", "/tmp"})
      ::mkdir((base + directory).c_str(), 0755);
    std::ofstream(base + "/usr/lib/ld.so") << "x";
    std::ofstream(base + "/etc/name") << "x";
    link("usr/lib", "/lib");
    link("/lib/ld.so", "/etc/absolute");
    link("../usr/lib/ld.so", "/etc/relative");
    link("../../../../etc/name", "/etc/above");
    link("/etc/loop", "/etc/loop");
    link("/nowhere", "/etc/dangling");
    root = Root(base);
  }
  ~RootTest() override { (void)!std::system(("rm -rf " + base).c_str()); }
  void link(const char* target, const std::string& name) {
    ASSERT_EQ(::symlink(target, (base + name).c_str()), 0);
  }

  std::string base;
  Root root;
};

TEST_F(RootTest, FilesInTheRootAreFound) { EXPECT_EQ(root.translate("/etc/name", true), base + "/etc/name"); }

TEST_F(RootTest, WhatIsNotInTheRootIsTheHosts) { EXPECT_EQ(root.translate("/bin/none", true), "/bin/none"); }

TEST_F(RootTest, NewNamesGoWhereTheirDirectoryIs) {
  ::mkdir((base + "/usr/lib/only-in-the-root").c_str(), 0755);
  EXPECT_EQ(root.translate("/usr/lib/only-in-the-root/new", true), base + "/usr/lib/only-in-the-root/new");
  EXPECT_EQ(root.translate("/lib/only-in-the-root/new", false), base + "/usr/lib/only-in-the-root/new");
  EXPECT_EQ(root.translate("/lib/only-in-the-root/a/b", true), "/lib/only-in-the-root/a/b");
  EXPECT_EQ(root.translate("/etc/new", true), "/etc/new");
  EXPECT_EQ(root.translate("/etc/dangling", true), "/etc/dangling");
}

TEST_F(RootTest, AbsoluteLinksStayInTheRoot) {
  EXPECT_EQ(root.translate("/lib/ld.so", true), base + "/usr/lib/ld.so");
  EXPECT_EQ(root.translate("/etc/absolute", true), base + "/usr/lib/ld.so");
  EXPECT_EQ(root.translate("/etc/relative", true), base + "/usr/lib/ld.so");
}

TEST_F(RootTest, DotDotStopsAtTheRoot) {
  EXPECT_EQ(root.translate("/etc/above", true), base + "/etc/name");
  EXPECT_EQ(root.translate("/../../etc/name", true), base + "/etc/name");
}

TEST_F(RootTest, TheLastLinkIsLeftWhenAsked) {
  EXPECT_EQ(root.translate("/etc/absolute", false), base + "/etc/absolute");
  EXPECT_EQ(root.translate("/etc/dangling", false), base + "/etc/dangling");
}

TEST_F(RootTest, LoopsAndDanglingLinksAreNotFound) {
  EXPECT_EQ(root.find("/etc/loop", true), "");
  EXPECT_EQ(root.find("/etc/dangling", true), "");
}

TEST_F(RootTest, SystemDirectoriesAreTheHosts) { EXPECT_EQ(root.translate("/tmp", true), "/tmp"); }

TEST_F(RootTest, GuestNamesComeBack) {
  EXPECT_EQ(root.to_guest(base + "/etc/name"), "/etc/name");
  EXPECT_EQ(root.to_guest(base), "/");
  EXPECT_EQ(root.to_guest("/etc/name"), "/etc/name");
  EXPECT_EQ(root.to_guest(base + "/tmp"), base + "/tmp");
  EXPECT_EQ(root.to_guest(base + "x/etc"), base + "x/etc");
}

TEST_F(RootTest, NoRootChangesNothing) { EXPECT_EQ(Root().translate("/etc/name", true), "/etc/name"); }

}  // namespace
}  // namespace lyrebird::user
