// SPDX-License-Identifier: Apache-2.0
#include "user/process/exec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lyrebird::user {
namespace {

using testing::ElementsAre;

TEST(ScriptLine, TakesInterpreterAndOneArgument) {
  ScriptLine line;
  ASSERT_TRUE(parse_script_line("#! /bin/sh -e -x  \necho", line));
  EXPECT_EQ(line.interpreter, "/bin/sh");
  EXPECT_TRUE(line.has_argument);
  EXPECT_EQ(line.argument, "-e -x");
}

TEST(ScriptLine, NeedsNoArgumentAndNoLineEnd) {
  ScriptLine line;
  ASSERT_TRUE(parse_script_line("#!/bin/sh", line));
  EXPECT_EQ(line.interpreter, "/bin/sh");
  EXPECT_FALSE(line.has_argument);
}

TEST(ScriptLine, RefusesWhatTheKernelRefuses) {
  ScriptLine line;
  EXPECT_FALSE(parse_script_line("#!\n/bin/sh", line));
  EXPECT_FALSE(parse_script_line("#!   \n", line));
  EXPECT_FALSE(
      parse_script_line("\x7f"
                        "ELF",
                        line));
  EXPECT_FALSE(parse_script_line("#!/" + std::string(253, 'x'), line));
}

ExecTarget target_of(std::vector<std::string> arguments) {
  ExecTarget target;
  target.guest = "aarch64";
  target.host_path = "/root/bin/prog";
  target.arguments = std::move(arguments);
  return target;
}

TEST(EmulatorCommand, KeepsTheOptionsAndTheGuestsOwnArgv0) {
  Options options;
  options.kept = {"-L", "/root"};
  const HostCommand command = emulator_command(options, target_of({"name", "-a", "b"}), {"A=1"});
  EXPECT_THAT(command.arguments, ElementsAre("lyrebird-aarch64", "-L", "/root", "-reexec", "-0", "name", "--",
                                             "/root/bin/prog", "-a", "b"));
  EXPECT_THAT(command.environment, ElementsAre("A=1"));
}

TEST(EmulatorCommand, HidesLoaderVariablesFromTheHostsLoader) {
  const HostCommand command =
      emulator_command(Options(), target_of({"x"}), {"LD_PRELOAD=libguest.so", "LDX=1"});
  EXPECT_THAT(command.environment, ElementsAre("LYREBIRD_GUEST_LD_PRELOAD=libguest.so", "LDX=1"));
}

}  // namespace
}  // namespace lyrebird::user
