// SPDX-License-Identifier: Apache-2.0
#include "jit/llvm/object.h"

#include <llvm/Object/ELFObjectFile.h>

#include <cstring>
#include <map>

#include "base/bits.h"
#include "jit/abi.h"
#include "jit/llvm/lowering.h"

namespace lyrebird::jit::lowering {

namespace {

using Object = llvm::object::ELF64LEObjectFile;

class Layout {
 public:
  Layout(const Object& object, RegionCode& code, std::string& why)
      : object_(object), code_(code), why_(why) {}

  bool run() {
    code_.bytes.assign(kCodeHeader, 0);
    for (const llvm::object::SectionRef& section : object_.sections())
      if (!place(section)) return false;
    for (const llvm::object::SectionRef& section : object_.sections())
      if (!relocate(section)) return false;
    return true;
  }

  /// Offset of a symbol, or 0.
  uint32_t find(llvm::StringRef name) {
    const auto at = symbols().find(name.str());
    return at == symbols().end() ? 0 : at->second;
  }
  const std::map<std::string, uint32_t>& symbols() {
    if (!names_.empty()) return names_;
    for (const llvm::object::SymbolRef& symbol : object_.symbols()) {
      auto name = symbol.getName();
      const auto at = offset_of(symbol);
      if (name && at) names_[name->str()] = *at;
      if (!name) llvm::consumeError(name.takeError());
    }
    return names_;
  }

 private:
  bool fail(std::string why) {
    why_ = std::move(why);
    return false;
  }

  bool place(const llvm::object::SectionRef& section) {
    const uint64_t flags = llvm::object::ELFSectionRef(section).getFlags();
    if (!(flags & llvm::ELF::SHF_ALLOC) || section.getSize() == 0) return true;
    const size_t alignment = std::max<uint64_t>(section.getAlignment().value(), 16);
    if (alignment > 32) return fail("a section wants an alignment of more than 32 bytes");
    const size_t start = (code_.bytes.size() + alignment - 1) & ~(alignment - 1);
    code_.bytes.resize(start + section.getSize());
    offsets_[section.getIndex()] = static_cast<uint32_t>(start);
    if (section.isBSS()) return true;
    auto contents = section.getContents();
    if (!contents) {
      llvm::consumeError(contents.takeError());
      return fail("a section cannot be read");
    }
    std::memcpy(code_.bytes.data() + start, contents->data(), contents->size());
    return true;
  }

  std::optional<uint32_t> offset_of(const llvm::object::SymbolRef& symbol) const {
    auto section = symbol.getSection();
    if (!section) {
      llvm::consumeError(section.takeError());
      return std::nullopt;
    }
    if (*section == object_.section_end()) return std::nullopt;
    const auto at = offsets_.find((*section)->getIndex());
    auto value = symbol.getValue();
    if (!value) llvm::consumeError(value.takeError());
    if (at == offsets_.end() || !value) return std::nullopt;
    return at->second + static_cast<uint32_t>(*value);
  }

  bool relocate(const llvm::object::SectionRef& table) {
    auto target = table.getRelocatedSection();
    if (!target) {
      llvm::consumeError(target.takeError());
      return fail("a relocation table cannot be read");
    }
    if (*target == object_.section_end()) return true;
    const auto section = offsets_.find((*target)->getIndex());
    if (section == offsets_.end()) return true;  // not loaded
    for (const llvm::object::RelocationRef& relocation : table.relocations()) {
      auto name = relocation.getSymbol()->getName();
      const auto symbol = offset_of(*relocation.getSymbol());
      auto addend = llvm::object::ELFRelocationRef(relocation).getAddend();
      if (!symbol || !addend) return fail("refers to " + (name ? name->str() : std::string("?")));
      const uint64_t type = relocation.getType();
      if (type != llvm::ELF::R_X86_64_PC32 && type != llvm::ELF::R_X86_64_PLT32)
        return fail("has a relocation of type " + std::to_string(type));
      const uint32_t at = section->second + static_cast<uint32_t>(relocation.getOffset());
      const int64_t distance = int64_t{*symbol} + *addend - int64_t{at};
      store_unaligned(code_.bytes.data() + at, static_cast<int32_t>(distance));
    }
    return true;
  }

  const Object& object_;
  RegionCode& code_;
  std::string& why_;
  std::map<uint64_t, uint32_t> offsets_;  // of sections, by index
  std::map<std::string, uint32_t> names_;
};

/// mov ecx, exit; mov rax, [rip + owner]; jmp [rsp + exit]
void add_stub(RegionCode& code, unsigned exit) {
  const auto put = [&](std::initializer_list<uint8_t> bytes) { code.bytes.insert(code.bytes.end(), bytes); };
  const auto word = [&](uint32_t v) {
    for (unsigned i = 0; i < 4; ++i) code.bytes.push_back(static_cast<uint8_t>(v >> 8 * i));
  };
  code.exits[exit].stub = static_cast<uint32_t>(code.bytes.size());
  put({0xb9});
  word(exit);
  put({0x48, 0x8b, 0x05});
  word(static_cast<uint32_t>(-static_cast<int32_t>(code.bytes.size() + 4)));
  static_assert(abi::kFrame + baseline::kFrameExit < 128 && abi::kFrame + baseline::kFrameLookup < 128);
  const bool indirect = code.exits[exit].kind == ExitPlan::Kind::Indirect;
  const uint32_t to = abi::kFrame + (indirect ? baseline::kFrameLookup : baseline::kFrameExit);
  put({0xff, 0x64, 0x24, static_cast<uint8_t>(to)});
}

}  // namespace

bool lay_out(llvm::StringRef bytes, const Lowering& lowering, const std::map<uint32_t, FaultPlaces>& places,
             uint64_t entry_pc, RegionCode& code, std::string& why) {
  auto parsed = llvm::object::ObjectFile::createELFObjectFile(llvm::MemoryBufferRef(bytes, "region"));
  if (!parsed) {
    why = llvm::toString(parsed.takeError());
    return false;
  }
  Layout layout(llvm::cast<Object>(**parsed), code, why);
  if (!layout.run()) return false;

  code.entry = layout.find(kFunctionName);
  code.exits = lowering.exits;
  code.recipes = lowering.recipes();
  for (unsigned i = 0; i < code.exits.size(); ++i)
    code.exits[i].patch = layout.find(kSlotPrefix + std::to_string(i));
  code.records = lowering.records;
  for (unsigned i = 0; i < code.records.size(); ++i)
    code.records[i].offset = layout.find(kRecordPrefix + std::to_string(i));
  const llvm::StringRef prefix = kFaultPrefix;
  for (const auto& [name, offset] : layout.symbols()) {
    if (!llvm::StringRef(name).starts_with(prefix)) continue;
    const size_t index = std::stoul(name.substr(prefix.size()));
    const auto from_entry = static_cast<int64_t>(lowering.fault_pcs[index] - entry_pc);
    if (from_entry != static_cast<int32_t>(from_entry)) {
      why = "goes too far from its entry";
      return false;
    }
    code.faults.push_back({offset, static_cast<uint32_t>(from_entry)});
    const auto number = static_cast<uint32_t>(std::stoul(name.substr(name.rfind('.') + 1)));
    const auto found = places.find(number);
    if (found == places.end()) continue;
    const FaultState& saved = lowering.marks.saved.at(static_cast<uint32_t>(index));
    RecoveryPoint point{.code = offset, .fields = saved.fields, .recipe = {}, .leaves = {}};
    auto place = found->second.places.begin();
    for (SavedField& field : point.fields) field.place = *place++;
    if (saved.lazy) point.recipe = *place++;
    point.leaves.assign(place, found->second.places.end());
    code.recovery.push_back(std::move(point));
  }
  for (unsigned i = 0; i < code.exits.size(); ++i) add_stub(code, i);
  return true;
}

}  // namespace lyrebird::jit::lowering
