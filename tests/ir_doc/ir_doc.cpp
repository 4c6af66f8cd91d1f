// SPDX-License-Identifier: Apache-2.0
// ir_doc [--check] OPS.INC IR.MD: replaces what stands below the marker line of
// IR.MD by tables of all ops, or with --check says whether that would change it.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "ir/text.h"

namespace {

using namespace lyrebird::ir;

constexpr std::string_view kMarker = "<!-- below: made from ir/ops.inc by tests/ir_doc; do not edit -->\n";

bool read(const char* path, std::string& to) {
  std::ifstream in(path, std::ios::binary);
  to.assign(std::istreambuf_iterator<char>(in), {});
  return static_cast<bool>(in);
}

const OpInfo* op_called(std::string_view name) {
  for (const OpInfo& op : kOps)
    if (op.name == name) return &op;
  return nullptr;
}

std::string effects_of(const OpInfo& op) {
  constexpr std::pair<uint16_t, const char*> kNames[] = {{Reads, "reads"},
                                                         {Writes, "writes"},
                                                         {Faults, "faults"},
                                                         {ReadsState, "reads state"},
                                                         {WritesState, "writes state"},
                                                         {FpFlags, "FP flags"},
                                                         {Exits, "exits"},
                                                         {Terminal, "terminal"}};
  std::string text;
  for (const auto& [bit, name] : kNames)
    if (op.effects & bit) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

std::string signature_of(const OpInfo& op) {
  std::string text(op.signature);
  text.replace(text.find('>'), 1, " → ");
  return text;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|' || c == '*' || c == '_') out += '\\';
    out += c;
  }
  return out;
}

/// One table per heading comment of ops.inc, in its order.
std::string tables(const std::string& ops) {
  std::string out;
  for (size_t at = 0; at < ops.size();) {
    const size_t end = std::min(ops.find('\n', at), ops.size());
    const std::string_view line(ops.data() + at, end - at);
    at = end + 1;
    if (line.starts_with("// --- ")) {
      std::string heading(line.substr(7));
      heading[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(heading[0])));
      out += "\n### " + heading +
             "\n\n| op | text | kind | types | effects | meaning |\n|---|---|---|---|---|---|\n";
    } else if (line.starts_with("OP(")) {
      const OpInfo* const op = op_called(line.substr(3, line.find(',') - 3));
      if (!op) continue;
      constexpr const char* kKinds[] = {"lane", "lane",   "lane",   "FP",     "FP",
                                        "FP",   "vector", "vector", "vector", ""};
      const auto index = static_cast<Op>(op - kOps);
      out += "| " + std::string(op->name) + " | `" + std::string(text::mnemonic(index)) + "` | " +
             kKinds[static_cast<unsigned>(op->kind)] + " | " + signature_of(*op) + " | " + effects_of(*op) +
             " | " + escaped(op->meaning) + " |\n";
    }
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const bool check = argc > 1 && std::strcmp(argv[1], "--check") == 0;
  if (argc != 3 + check) {
    std::fprintf(stderr, "usage: ir_doc [--check] OPS.INC IR.MD\n");
    return 1;
  }
  std::string ops, old;
  if (!read(argv[1 + check], ops) || !read(argv[2 + check], old)) {
    std::fprintf(stderr, "ir_doc: cannot read %s and %s\n", argv[1 + check], argv[2 + check]);
    return 1;
  }
  const size_t marker = old.find(kMarker);
  if (marker == std::string::npos) {
    std::fprintf(stderr, "ir_doc: %s: the marker line is missing\n", argv[2 + check]);
    return 1;
  }
  const std::string fresh = old.substr(0, marker) + std::string(kMarker) + tables(ops);
  if (fresh == old) return 0;
  if (check) {
    std::fprintf(stderr, "ir_doc: %s is out of date; see tests/ir_doc/README.md\n", argv[3]);
    return 1;
  }
  std::ofstream(argv[2], std::ios::binary) << fresh;
  return 0;
}
