// SPDX-License-Identifier: Apache-2.0
#include "jit/llvm/fault_labels.h"

#include <llvm/CodeGen/MachineFrameInfo.h>
#include <llvm/CodeGen/MachineInstr.h>
#include <llvm/CodeGen/MachineMemOperand.h>
#include <llvm/CodeGen/TargetInstrInfo.h>
#include <llvm/CodeGen/TargetSubtargetInfo.h>
#include <llvm/IR/Constants.h>
#include <llvm/MC/MCContext.h>

#include <optional>
#include <set>

#include "jit/llvm/host_places.h"

namespace lyrebird::jit::lowering {

namespace {

class FaultLabels final : public llvm::MachineFunctionPass {
 public:
  static char ID;
  FaultLabels(const FaultMarks& marks, std::map<uint32_t, FaultPlaces>& places, bool& failed)
      : MachineFunctionPass(ID), marks_(marks), places_(places), failed_(failed) {}

  bool doInitialization(llvm::Module&) override {
    count_ = 0;
    unknown_ = false;
    found_.clear();
    places_.clear();
    return false;
  }

  bool runOnMachineFunction(llvm::MachineFunction& function) override {
    for (llvm::MachineBasicBlock& block : function)
      for (llvm::MachineInstr& inst : block)
        if (const auto index = inst.isInlineAsm() ? of_asm(inst) : of_access(inst))
          label(function, inst, *index);
    std::vector<llvm::MachineInstr*> maps;
    for (llvm::MachineBasicBlock& block : function)
      for (llvm::MachineInstr& inst : block)
        if (inst.getOpcode() == llvm::TargetOpcode::STACKMAP) maps.push_back(&inst);
    for (llvm::MachineInstr* map : maps) map->eraseFromParent();
    // One of another kind may be one of those that are missing.
    if (unknown_ && found_.size() != marks_.count) failed_ = true;
    return true;
  }

 private:
  std::optional<uint32_t> of_asm(const llvm::MachineInstr& inst) const {
    for (const llvm::MachineOperand& operand : inst.operands()) {
      if (!operand.isMetadata() || operand.getMetadata()->getNumOperands() != 1) continue;
      const auto* const index =
          llvm::mdconst::dyn_extract<llvm::ConstantInt>(operand.getMetadata()->getOperand(0));
      if (index) return static_cast<uint32_t>(index->getZExtValue());
    }
    return std::nullopt;
  }

  std::optional<uint32_t> of_access(const llvm::MachineInstr& inst) {
    std::optional<uint32_t> found;
    for (const llvm::MachineMemOperand* operand : inst.memoperands()) {
      if (!operand->isVolatile()) continue;
      const llvm::MDNode* const scope = operand->getAAInfo().Scope;
      if (scope == marks_.state) continue;
      if (!scope) {
        unknown_ = true;
        continue;
      }
      const auto at = marks_.accesses.find(scope);
      if (at == marks_.accesses.end() || (found && *found != at->second)) {
        failed_ = true;
        return std::nullopt;
      }
      found = at->second;
    }
    return found;
  }

  void label(llvm::MachineFunction& function, llvm::MachineInstr& inst, uint32_t index) {
    if (inst.getPreInstrSymbol()) {
      failed_ = true;
      return;
    }
    found_.insert(index);
    const auto saved = marks_.saved.find(index);
    if (saved != marks_.saved.end() && saved->second.count() != 0) {
      auto places = find_places(inst, 2 * index, 2 * index + 1, saved->second.count());
      if (!places) {
        failed_ = true;
        return;
      }
      places_[count_] = {index, std::move(*places)};
    }
    const std::string name = kFaultPrefix + std::to_string(index) + "." + std::to_string(count_++);
    inst.setPreInstrSymbol(function, function.getContext().getOrCreateSymbol(name));
  }

  const FaultMarks& marks_;
  std::map<uint32_t, FaultPlaces>& places_;
  bool& failed_;
  unsigned count_ = 0;
  bool unknown_ = false;  ///< a volatile access without any mark (LLVM takes wide ones of the state apart)
  std::set<uint32_t> found_;
};

char FaultLabels::ID = 0;

class QuietStackMaps final : public llvm::MachineFunctionPass {
 public:
  static char ID;
  QuietStackMaps() : MachineFunctionPass(ID) {}

  bool runOnMachineFunction(llvm::MachineFunction& function) override {
    const llvm::TargetInstrInfo& target = *function.getSubtarget().getInstrInfo();
    const auto is = [](const llvm::MachineInstr& inst, unsigned opcode) {
      return inst.getOpcode() == opcode;
    };
    bool calls = false, stack = false;
    std::vector<llvm::MachineInstr*> gone;
    for (llvm::MachineBasicBlock& block : function) {
      llvm::MachineInstr* setup = nullptr;
      bool map = false;
      for (llvm::MachineInstr& inst : block) {
        if (is(inst, target.getCallFrameSetupOpcode())) {
          setup = &inst;
          map = false;
        } else if (is(inst, llvm::TargetOpcode::STACKMAP)) {
          map = true;
          // The scratch register of those that are to be patched.
          for (unsigned i = inst.getNumOperands(); i-- > 0;)
            if (inst.getOperand(i).isReg() && inst.getOperand(i).isImplicit()) inst.removeOperand(i);
        } else if (is(inst, target.getCallFrameDestroyOpcode())) {
          if (map && setup) gone.insert(gone.end(), {setup, &inst});
          stack |= !map || !setup;
          setup = nullptr;
        } else if ((inst.isCall() && !inst.isReturn()) || inst.isStackAligningInlineAsm()) {
          calls = true;
          map = false;
        }
      }
    }
    for (llvm::MachineInstr* inst : gone) inst->eraseFromParent();
    llvm::MachineFrameInfo& frame = function.getFrameInfo();
    frame.setHasStackMap(false);
    frame.setHasCalls(calls);
    frame.setAdjustsStack(stack);
    return true;
  }
};

char QuietStackMaps::ID = 0;

}  // namespace

llvm::MachineFunctionPass* make_quiet_stack_maps() { return new QuietStackMaps; }

llvm::MachineFunctionPass* make_fault_labels(const FaultMarks& marks, std::map<uint32_t, FaultPlaces>& places,
                                             bool& failed) {
  return new FaultLabels(marks, places, failed);
}

}  // namespace lyrebird::jit::lowering
