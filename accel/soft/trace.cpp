// SPDX-License-Identifier: Apache-2.0
#include "accel/soft/trace.h"

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "ir/print.h"

namespace lyrebird::accel::trace {

namespace {

Disassembler host_disassembler = nullptr;
Disassembler disassembler = nullptr;  // both written once, before guest code runs

void dump(uint64_t pc, const uint8_t* bytes, size_t size, std::string& text) {
  for (size_t i = 0; i < size; i += 16) {
    text += fmt::format("  {:#x}:", pc + i);
    for (size_t k = i; k < std::min(size, i + 16); ++k) text += fmt::format(" {:02x}", bytes[k]);
    text += '\n';
  }
}

void log_code(const ir::Block& block, frontend::CodeSource& code) {
  std::vector<uint8_t> bytes(block.guest_size);
  std::string text = fmt::format("IN: {:#x} mode={:#x}\n", block.key.pc, block.key.mode);
  if (block.guest_size == 0 || !code.fetch(block.key.pc, bytes.data(), block.guest_size)) {
    text += "  (not readable)\n";
  } else if (disassembler) {
    disassembler(block.key.pc, block.key.mode, bytes.data(), bytes.size(), text);
  } else {
    dump(block.key.pc, bytes.data(), bytes.size(), text);
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

void host_code(uint64_t pc, const uint8_t* code, size_t size, std::string& out) {
  if (host_disassembler)
    host_disassembler(pc, 0, code, size, out);
  else
    dump(pc, code, size, out);
}

bool every_block() { return log_enabled(LogTopic::Exec) || log_enabled(LogTopic::Cpu); }

void block_entry(const jit::CompiledBlock& block, const ir::CpuHeader& state, const ir::StateLayout& layout) {
  log(LogTopic::Exec, "block {:#x} mode={:#x} {} instructions\n", block.key.pc, block.key.mode,
      block.guest_count);
  if (log_enabled(LogTopic::Cpu)) log(LogTopic::Cpu, "{}", state_text(state, layout));
}

}  // namespace lyrebird::accel::trace

namespace lyrebird::accel {
void set_disassembler(Disassembler disassembler) { trace::disassembler = disassembler; }
void set_host_disassembler(Disassembler disassembler) { trace::host_disassembler = disassembler; }
}  // namespace lyrebird::accel
