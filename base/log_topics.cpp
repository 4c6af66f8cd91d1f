// SPDX-License-Identifier: Apache-2.0
#include "base/log_topics.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/words.h"

namespace lyrebird {

namespace {

struct Row {
  std::string_view name;
  LogTopic topic;
  uint8_t users;
  std::string_view help;
};
constexpr auto kProgram = static_cast<uint8_t>(LogUser::Program),
               kMachine = static_cast<uint8_t>(LogUser::Machine),
               kBoth = static_cast<uint8_t>(kProgram | kMachine);

// With the peer's names beside ours.
constexpr Row kRows[] = {
    {"in_asm", LogTopic::InAsm, kBoth, "guest code of each new block"},
    {"ir", LogTopic::Ir, kBoth, "its IR as lifted"},
    {"op", LogTopic::Ir, kBoth, "the same"},
    {"ir_opt", LogTopic::IrOpt, kBoth, "its IR after the passes"},
    {"op_opt", LogTopic::IrOpt, kBoth, "the same"},
    {"out_asm", LogTopic::OutAsm, kBoth, "host code of each new block"},
    {"exec", LogTopic::Exec, kBoth, "each block as it starts"},
    {"tb", LogTopic::Exec, kBoth, "the same"},
    {"cpu", LogTopic::Cpu, kBoth, "registers at each stop of the guest"},
    {"int", LogTopic::Int, kMachine, "exceptions, returns from them, power calls"},
    {"unimp", LogTopic::Unimp, kBoth, "what the guest asked for and we do not have"},
    {"strace", LogTopic::Strace, kProgram, "system calls, as -strace"},
    {"page", LogTopic::Page, kProgram, "the guest's mappings after loading"},
    {"signal", LogTopic::Signal, kProgram, "signals as they reach the guest"},
};

std::vector<const Row*> rows_of(LogUser user) {
  std::vector<const Row*> rows;
  for (const Row& row : kRows) {
    if (row.users & static_cast<uint8_t>(user)) rows.push_back(&row);
  }
  return rows;
}

}  // namespace

std::string log_topic_help(LogUser user) {
  std::string text = "-d takes these, separated by commas:\n";
  for (const Row* const row : rows_of(user)) text += fmt::format("  {:<9} {}\n", row->name, row->help);
  return text;
}

Result<void> enable_log_topics(std::string_view list, LogUser user) {
  const std::vector<const Row*> rows = rows_of(user);
  std::vector<LogTopic> topics;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t comma = std::min(list.find(',', begin), list.size());
    const std::string_view name = list.substr(begin, comma - begin);
    const auto row =
        std::find_if(rows.begin(), rows.end(), [&](const Row* each) { return each->name == name; });
    if (row == rows.end()) {
      std::vector<std::string_view> names;
      for (const Row* const each : rows) names.push_back(each->name);
      return Error{
          fmt::format("-d {}: no such log topic{}; -d help lists them", name, did_you_mean(name, names))};
    }
    topics.push_back((*row)->topic);
    begin = comma + 1;
  }
  for (const LogTopic topic : topics) enable_log(topic);
  return {};
}

}  // namespace lyrebird
