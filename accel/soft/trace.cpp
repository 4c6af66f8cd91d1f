// SPDX-License-Identifier: Apache-2.0
#include "accel/soft/trace.h"

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "ir/print.h"

namespace lyrebird::accel::trace {

namespace {

Disassembler disassembler = nullptr;  // written once, before guest code runs

void log_code(const ir::Block& block, frontend::CodeSource& code) {
  std::vector<uint8_t> bytes(block.guest_size);
  std::string text = fmt::format("IN: {:#x} mode={:#x}\n", block.key.pc, block.key.mode);
  if (block.guest_size == 0 || !code.fetch(block.key.pc, bytes.data(), block.guest_size)) {
    text += "  (not readable)\n";
  } else if (disassembler) {
    disassembler(block.key.pc, block.key.mode, bytes.data(), bytes.size(), text);
  } else {
    for (size_t i = 0; i < bytes.size(); i += 16) {
      text += fmt::format("  {:#x}:", block.key.pc + i);
      for (size_t k = i; k < std::min(bytes.size(), i + 16); ++k) text += fmt::format(" {:02x}", bytes[k]);
      text += '\n';
    }
  }
  log(LogTopic::InAsm, "{}\n", text);
}

std::string ir_text(const ir::Block& block, const frontend::Frontend& frontend) {
  return ir::print(block, {.layout = &frontend.layout(), .helpers = frontend.helpers()});
}

std::string state_text(const ir::CpuHeader& state, const ir::StateLayout& layout) {
  std::string text;
  unsigned column = 0;
  for (const ir::StateField& field : layout.fields) {
    const unsigned size = ir::byte_size(field.type);
    const auto* const at = reinterpret_cast<const uint8_t*>(&state) + field.offset;
    uint64_t words[4] = {};
    std::memcpy(words, at, std::min<size_t>(size, sizeof words));
    std::string item = fmt::format(" {}=", field.name);
    for (unsigned w = (size + 7) / 8; w-- > 0;)
      item += fmt::format("{:0{}x}", words[w], 2 * std::min(8u, size - 8 * w));
    if (column + item.size() > 110) {
      text += '\n';
      column = 0;
    }
    column += static_cast<unsigned>(item.size());
    text += item;
  }
  return text + '\n';
}

}  // namespace

void translated(const ir::Block& block, frontend::CodeSource& code, const frontend::Frontend& frontend) {
  if (log_enabled(LogTopic::InAsm)) log_code(block, code);
  if (log_enabled(LogTopic::Ir)) log(LogTopic::Ir, "IR:\n{}\n", ir_text(block, frontend));
}

void optimised(const ir::Block& block, const frontend::Frontend& frontend) {
  if (log_enabled(LogTopic::IrOpt)) log(LogTopic::IrOpt, "IR after passes:\n{}\n", ir_text(block, frontend));
}

void block_entry(const jit::CompiledBlock& block, const ir::CpuHeader& state, const ir::StateLayout& layout) {
  log(LogTopic::Exec, "block {:#x} mode={:#x} {} instructions\n", block.key.pc, block.key.mode,
      block.guest_count);
  if (log_enabled(LogTopic::Cpu)) log(LogTopic::Cpu, "{}", state_text(state, layout));
}

}  // namespace lyrebird::accel::trace

namespace lyrebird::accel {
void set_disassembler(Disassembler disassembler) { trace::disassembler = disassembler; }
}  // namespace lyrebird::accel
