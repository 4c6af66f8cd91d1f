// SPDX-License-Identifier: Apache-2.0
#include "user/options.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/log_file.h"
#include "base/log_topics.h"
#include "user/abi/abi.h"
#include "user/host/private_fds.h"
#include "user/process/exec.h"

namespace lyrebird::user {
namespace {

struct State {
  Options options;
  std::string log_topics, log_file;
};

using Setter = Result<void> (*)(State&, const std::string& value);

struct OptionRow {
  std::string_view name;   ///< without dashes
  std::string_view value;  ///< what it takes; empty: nothing
  const char* variable;    ///< environment variable with the same meaning, or null
  std::string_view help;
  Setter set;
};

Result<uint64_t> number(std::string_view option, std::string_view text, bool scaled) {
  std::string_view digits = text;
  int base = 10;
  if (digits.starts_with("0x")) digits.remove_prefix(2), base = 16;
  uint64_t value = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  std::string_view rest(end, static_cast<size_t>(digits.data() + digits.size() - end));
  unsigned shift = 0;
  if (scaled && rest.size() == 1) {
    const size_t unit = std::string_view("kmgKMG").find(rest[0]);
    if (unit != std::string_view::npos) shift = 10 * (unit % 3 + 1), rest = {};
  }
  if (digits.empty() || code != std::errc() || !rest.empty() || (value << shift) >> shift != value)
    return Error{fmt::format("-{} {}: is not a number", option, text)};
  return value << shift;
}

void set_variable(std::vector<std::string>& environment, const std::string& assignment) {
  const std::string name = assignment.substr(0, assignment.find('=') + 1);
  std::erase_if(environment, [&](const std::string& one) { return one.starts_with(name); });
  environment.push_back(assignment);
}

Result<void> set_environment(State& state, const std::string& list) {
  // As the peer: several, separated by commas; a comma before no NAME= belongs to the value.
  std::string one;
  size_t begin = 0;
  while (begin <= list.size()) {
    size_t comma = list.find(',', begin);
    if (comma == std::string::npos) comma = list.size();
    const std::string part = list.substr(begin, comma - begin);
    if (part.find('=') == std::string::npos && !one.empty()) {
      one += ',' + part;
    } else {
      if (!one.empty()) set_variable(state.options.environment, one);
      one = part;
    }
    begin = comma + 1;
  }
  if (one.find('=') == std::string::npos || one[0] == '=')
    return Error{fmt::format("-E {}: write NAME=VALUE", list)};
  set_variable(state.options.environment, one);
  return {};
}

Result<void> unset_environment(State& state, const std::string& list) {
  size_t begin = 0;
  while (begin <= list.size()) {
    size_t comma = list.find(',', begin);
    if (comma == std::string::npos) comma = list.size();
    const std::string name = list.substr(begin, comma - begin);
    if (name.empty() || name.find('=') != std::string::npos)
      return Error{fmt::format("-U {}: is not the name of a variable", name)};
    std::erase_if(state.options.environment,
                  [&](const std::string& one) { return one.starts_with(name + "="); });
    begin = comma + 1;
  }
  return {};
}

Result<void> set_topics(State& state, const std::string& list) {
  if (list == "help") {
    std::fputs(log_topic_help(LogUser::Program).c_str(), stdout);
    state.options.exit_now = true;
    return {};
  }
  Result<void> ok = enable_log_topics(list, LogUser::Program);
  if (log_enabled(LogTopic::Strace)) state.options.strace = true;
  return ok;
}

Result<void> set_number(std::string_view option, const std::string& text, bool scaled, uint64_t& to) {
  const Result<uint64_t> value = number(option, text, scaled);
  if (!value) return value.error();
  to = *value;
  return {};
}

constexpr OptionRow kOptions[] = {
    {"h", "", nullptr, "this text (also -help, --help)", nullptr},
    {"version", "", nullptr, "the version (also --version)", nullptr},
    {"L", "DIR", "LYREBIRD_LD_PREFIX",
     "the guest's root: absolute paths are looked for in it first (also --root)",
     [](State& s, const std::string& v) -> Result<void> {
       // The guest changes its directory, and programs that it starts get the same folder.
       std::error_code none;
       s.options.root = v.empty() ? v : std::filesystem::absolute(v, none).lexically_normal().string();
       return {};
     }},
    {"E", "VAR=VALUE", "LYREBIRD_SET_ENV", "set a variable in the guest's environment",
     [](State& s, const std::string& v) { return set_environment(s, v); }},
    {"U", "VAR", "LYREBIRD_UNSET_ENV", "remove a variable from the guest's environment",
     [](State& s, const std::string& v) { return unset_environment(s, v); }},
    {"0", "ARGV0", "LYREBIRD_ARGV0", "the program's argv[0]",
     [](State& s, const std::string& v) -> Result<void> {
       s.options.argv0 = v;
       s.options.has_argv0 = true;
       return {};
     }},
    {"r", "RELEASE", "LYREBIRD_UNAME", "the kernel release that uname tells",
     [](State& s, const std::string& v) -> Result<void> {
       return s.options.uname_release = v, Result<void>();
     }},
    {"cpu", "MODEL", "LYREBIRD_CPU", "the processor; -cpu help lists them",
     [](State& s, const std::string& v) -> Result<void> { return s.options.cpu = v, Result<void>(); }},
    {"s", "SIZE", "LYREBIRD_STACK_SIZE", "size of the first stack in bytes, or with k, M, G",
     [](State& s, const std::string& v) { return set_number("s", v, true, s.options.stack_size); }},
    {"B", "ADDRESS", "LYREBIRD_GUEST_BASE", "host address of guest address 0",
     [](State& s, const std::string& v) { return set_number("B", v, false, s.options.base); }},
    {"strace", "", "LYREBIRD_STRACE", "write each system call to the log",
     [](State& s, const std::string&) -> Result<void> { return s.options.strace = true, Result<void>(); }},
    {"stats", "", "LYREBIRD_STATS", "at exit, write what translation and execution took to the log",
     [](State& s, const std::string&) -> Result<void> { return s.options.stats = true, Result<void>(); }},
    {"perfmap", "", "LYREBIRD_PERFMAP", "write /tmp/perf-PID.map, so that perf names the generated code",
     [](State& s, const std::string&) -> Result<void> { return s.options.perf_map = true, Result<void>(); }},
    {"gdbjit", "", "LYREBIRD_GDBJIT", "tell the gdb that this process runs under of the generated code",
     [](State& s, const std::string&) -> Result<void> { return s.options.gdb_jit = true, Result<void>(); }},
    {"d", "TOPIC,...", "LYREBIRD_LOG", "what to log; -d help lists it",
     [](State& s, const std::string& v) { return set_topics(s, v); }},
    {"D", "FILE", "LYREBIRD_LOG_FILENAME", "where the log goes instead of stderr",
     [](State& s, const std::string& v) -> Result<void> { return s.log_file = v, Result<void>(); }},
    {"g", "PORT|PATH", "LYREBIRD_GDB", "wait for gdb on this TCP port or Unix socket",
     [](State& s, const std::string& v) -> Result<void> { return s.options.gdb = v, Result<void>(); }},
    {"jit", "NAME", "LYREBIRD_JIT",
     "what runs guest code: baseline (the default), tiered, interp, llvm; direct copies what is the host's "
     "own",
     [](State& s, const std::string& v) -> Result<void> {
       if (v != "interp" && v != "baseline" && v != "tiered" && v != "llvm" && v != "direct")
         return Error{fmt::format("-jit {}: there are direct, baseline, tiered, interp and llvm", v)};
       return s.options.jit = v, Result<void>();
     }},
    {"cache", "DIR|off", "LYREBIRD_CACHE",
     "where translations are kept for the next run; see lyrebird cache -help",
     [](State& s, const std::string& v) -> Result<void> { return s.options.cache = v, Result<void>(); }},
    {"tb-size", "MIB", "LYREBIRD_TB_SIZE", "the most that compiled code takes, in MiB (256)",
     [](State& s, const std::string& v) { return set_number("tb-size", v, false, s.options.code_mib); }},
    {"singlestep", "", "LYREBIRD_SINGLESTEP", "run one instruction at a time",
     [](State& s, const std::string&) -> Result<void> {
       return s.options.single_step = true, Result<void>();
     }},
    // How execve() starts us again. Without help: not for people.
    {"execfd", "FD", nullptr, "",
     [](State& s, const std::string& v) -> Result<void> {
       uint64_t fd = 0;
       const Result<void> done = set_number("execfd", v, false, fd);
       s.options.exec_fd = static_cast<int>(fd);
       return done;
     }},
    {"seccompfd", "FD", nullptr, "",
     [](State& s, const std::string& v) -> Result<void> {
       uint64_t fd = 0;
       const Result<void> done = set_number("seccompfd", v, false, fd);
       s.options.seccomp_fd = static_cast<int>(fd);
       return done;
     }},
    {"reexec", "", nullptr, "",
     [](State& s, const std::string&) -> Result<void> { return s.options.reexec = true, Result<void>(); }},
};

/// Holds for this program alone, not for those that it starts.
bool concerns_one_program(std::string_view name) {
  return name == "0" || name == "g" || name == "E" || name == "U" || name == "execfd" ||
         name == "seccompfd" || name == "reexec";
}

/// A variable that would have changed our own loader came under another name (process/exec.h).
std::string_view real_variable(std::string_view variable) {
  return variable.starts_with(kHiddenVariable) ? variable.substr(kHiddenVariable.size()) : variable;
}

void print_help(const Options& options) {
  std::string text = fmt::format(
      "usage: {} [option...] program [argument...]\n\n"
      "Runs a Linux program built for {}.\n\n",
      options.invoked_as, options.guest.empty() ? "another machine" : options.guest);
  for (const OptionRow& row : kOptions)
    if (!row.help.empty())
      text += fmt::format("  {:<17} {}{}\n", fmt::format("-{} {}", row.name, row.value), row.help,
                          row.variable ? fmt::format("\n{:20}[{}]", "", row.variable) : std::string());
  text +=
      "\nThe variable in brackets means the same when the option is not given. Options\n"
      "end at the program's name. Exit status: the program's; 127 when it or its\n"
      "interpreter is not there, 126 when it can't be run here, 1 for other errors.\n\n"
      "  lyrebird-aarch64 -L /srv/arm64 /srv/arm64/bin/ls -l\n"
      "  lyrebird-aarch64 -L /srv/arm64 -g 1234 ./prog   (then: gdb-multiarch -ex 'target remote :1234')\n";
  std::fputs(text.c_str(), stdout);
}

const OptionRow* find_option(std::string_view name) {
  if (name == "help") name = "h";
  if (name == "root") name = "L";
  if (name == "one-insn-per-tb") name = "singlestep";
  for (const OptionRow& row : kOptions)
    if (row.name == name) return &row;
  return nullptr;
}

Error unknown_option(std::string_view given) {
  std::string_view bare = given;
  bare.remove_prefix(std::min(bare.find_first_not_of('-'), bare.size()));
  for (const OptionRow& row : kOptions)
    if (bare.size() > 1 && (row.name.starts_with(bare) || bare.starts_with(row.name)) && row.name.size() > 1)
      return Error{fmt::format("{}: no such option (did you mean -{}?); -help lists them", given, row.name)};
  return Error{fmt::format("{}: no such option; -help lists them", given)};
}

/// The host's limit is what the kernel would give the program.
uint64_t default_stack_size() {
  constexpr uint64_t kDefault = 8u << 20, kMost = 1u << 30;
  struct rlimit limit;
  if (::getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur > kMost) return kDefault;
  return std::max<uint64_t>(limit.rlim_cur, 128u << 10);
}

Result<void> apply_variables(State& state) {
  for (const OptionRow& row : kOptions) {
    const char* const value = row.variable ? std::getenv(row.variable) : nullptr;
    if (!value) continue;
    if (const Result<void> done = row.set(state, value); !done)
      return Error{fmt::format("{}: {}", row.variable, done.error().message)};
  }
  return {};
}

Result<void> check_values(const State& state) {
  if (state.options.stack_size < 64u << 10 || state.options.stack_size > uint64_t{2} << 30)
    return Error{"-s: the stack must have 64k to 2G bytes"};
  if (state.options.code_mib < 1 || state.options.code_mib > 1024) return Error{"-tb-size: 1 to 1024 MiB"};
  if (state.options.base & 0xfff) return Error{"-B: must be a multiple of 4096"};
  if (!state.log_file.empty() && !open_log_file(state.log_file.c_str(), state.options.reexec))
    return Error{fmt::format("-D {}: can't be written", state.log_file)};
  if (!state.log_file.empty()) host::adopt_private_fd(log_file(), set_log_file);
  return {};
}

}  // namespace

Result<Options> parse_options(int argc, char** argv, char** environment, std::string invoked_as,
                              std::string guest) {
  State state;
  Options& options = state.options;
  options.invoked_as = std::move(invoked_as);
  options.guest = std::move(guest);
  options.stack_size = default_stack_size();
  for (char** one = environment; *one; ++one) options.environment.emplace_back(real_variable(*one));
  if (const Result<void> done = apply_variables(state); !done) return done.error();

  int i = 0;
  for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; ++i) {
    std::string_view given = argv[i];
    if (given == "--") {
      ++i;
      break;
    }
    std::string_view name = given.substr(given.starts_with("--") ? 2 : 1);
    std::string attached;
    bool has_attached = false;
    if (const size_t equals = name.find('='); given.starts_with("--") && equals != std::string_view::npos) {
      attached = name.substr(equals + 1);
      has_attached = true;
      name = name.substr(0, equals);
    }
    const OptionRow* const row = find_option(name);
    if (!row) return unknown_option(given);
    if (row->name == "h" || row->name == "version") {
      if (row->name == "h")
        print_help(options);
      else
        std::fputs(fmt::format("{} version {}\n", options.invoked_as, LYREBIRD_VERSION).c_str(), stdout);
      options.exit_now = true;
      return state.options;
    }
    if (!row->value.empty() && !has_attached) {
      if (++i >= argc) return Error{fmt::format("{}: needs {}", given, row->value)};
      attached = argv[i];
    }
    if (row->name == "cpu" && attached == "help") {
      const Abi* const abi =
          find_abi(options.guest.empty() ? std::string_view(all_abis().front()->name) : options.guest);
      for (const std::string& cpu : abi->cpu_names()) std::fputs((cpu + "\n").c_str(), stdout);
      options.exit_now = true;
      return state.options;
    }
    if (const Result<void> done = row->set(state, attached); !done) return done.error();
    if (!concerns_one_program(row->name)) {
      options.kept.push_back(fmt::format("-{}", row->name));
      if (!row->value.empty()) options.kept.push_back(attached);
    }
    if (options.exit_now) return state.options;
  }
  if (i >= argc) return Error{fmt::format("name a program to run; {} -help explains", options.invoked_as)};
  options.program = argv[i];
  for (int j = i; j < argc; ++j) options.arguments.emplace_back(argv[j]);
  if (options.has_argv0) options.arguments[0] = options.argv0;
  if (const Result<void> done = check_values(state); !done) return done.error();
  return state.options;
}

}  // namespace lyrebird::user
