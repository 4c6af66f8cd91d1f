// SPDX-License-Identifier: Apache-2.0
/// From a region to an LLVM function with the registers of jit/abi.h.
///
/// The function is `void region(state, pinned guest registers...)` in preserve_none. Fields of the
/// guest's state live in allocas, which LLVM turns into registers. The state in memory is brought up
/// to date before everything that may fault or look at it, and at the exits: a field is dirty while
/// its alloca is newer than memory. Which are dirty where is found by a dataflow analysis first
/// (dirty.h), so that a loop which writes no state that can be seen stores none.
///
/// Guest memory is accessed by volatile loads and stores and by inline assembly. Each carries the
/// index of its guest instruction in `fault_pcs` (alias.scope, srcloc); fault_labels.h finds it in the
/// machine code. Stores to the state are volatile too: their order among guest accesses is what makes
/// the state precise.
///
/// Floating point is as in jit/baseline: strict intrinsics, results that the host may have wrong
/// (NaNs, tininess) go to the interpreter's handler, as does every op that has no code here.
#pragma once

#include <llvm/Analysis/TargetFolder.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/Module.h>

#include <vector>

#include "ir/region.h"
#include "jit/baseline/frame.h"
#include "jit/llvm/dirty.h"
#include "jit/llvm/fault_labels.h"
#include "jit/llvm/lazy.h"
#include "jit/region_compiler.h"

namespace lyrebird::jit::lowering {

inline constexpr const char* kFunctionName = "region";
inline constexpr const char* kSlotPrefix = "slot.";      ///< and the exit's number: where the exit jumps to
inline constexpr const char* kRecordPrefix = "record.";  ///< and the record's number

class Lowering {
 public:
  /// `places`: state that an access may need if it faults is where LLVM wants it, and found by
  /// fault_labels.h; else it is in memory before the access.
  Lowering(llvm::Module& module, const RegionTarget& target, const RegionOptions& options, bool places);

  /// False if the region is beyond what this can do.
  bool lower(const ir::Region& region);

  const std::vector<FlagRecipe>& recipes() const { return lazy_.recipes(); }

  std::vector<ExitPlan> exits;
  /// An instruction that calls the interpreter each time, though the baseline may have code for it; empty:
  /// none.
  std::string slow;
  std::vector<RecordPlan> records;  ///< (offsets are not known yet)
  std::vector<uint64_t> fault_pcs;  ///< of guest instructions that access memory
  FaultMarks marks;                 ///< metadata of accesses, by index in fault_pcs

 private:
  using Value = llvm::Value;
  using LType = llvm::Type;
  using Block = llvm::BasicBlock;

  // --- lowering.cpp
  void make_function();
  void lower_part(size_t index);
  void lower_inst(const ir::Inst& inst);
  bool lower_pure(const ir::Inst& inst);
  LType* type_of(ir::Type type) const;
  LType* int_type(unsigned bits) const { return llvm::IntegerType::get(context_, bits); }
  LType* lanes_type(ir::Type type, ir::Type elem) const;
  ir::Type ir_type(ir::ValueId id) const { return block_->insts[id].type; }
  const ir::Inst& inst_of(ir::ValueId id) const { return block_->insts[id]; }
  Value* value(ir::ValueId id) { return values_[id]; }
  Value* arg(const ir::Inst& inst, unsigned k) { return values_[inst.args[k]]; }
  Value* constant(const ir::Inst& inst);
  /// A vector divided into lanes (ints), or a scalar's bits.
  Value* lanes(Value* v, ir::Type type, ir::Type elem);
  /// The same as floats.
  Value* float_lanes(Value* v, ir::Type type, ir::Type elem);
  /// Back to the type that values of `type` have.
  Value* whole(Value* v, ir::Type type);
  Value* call(llvm::Intrinsic::ID id, std::initializer_list<LType*> types,
              std::initializer_list<Value*> args);
  Value* imm(LType* type, uint64_t v);  // splat for vectors
  Block* new_block(const char* name);
  void branch_cold(Value* condition, Block* cold, Block* hot);

  // --- lower_state.cpp
  Value* memory_at(uint32_t offset);  // pointer into the state
  void find_fields();
  void load_fields();
  Value* field_to_part(Value* field, const Field& f, uint32_t offset, ir::Type type);
  Value* part_to_field(Value* field, const Field& f, uint32_t offset, ir::Type type, Value* part);
  Value* load_state(uint32_t offset, ir::Type type);
  void store_state(uint32_t offset, ir::Type type, Value* v);
  void lower_get_state(ir::ValueId id, const ir::Inst& inst);
  void lower_set_state(const ir::Inst& inst);
  void store_fields(const FieldSet& set, bool pinned);
  void flush();
  void flush_touched(const FieldMap::Hit& hit);

  // --- lower_lazy.cpp
  void make_lazy_homes();
  void apply_event(const LazyEvent& event);
  void set_recipe(uint32_t recipe);
  void store_lazy();
  void store_recipe(const FlagRecipe& recipe);
  std::vector<Value*> lazy_for_fault(FaultState& state);

  // --- lower_integer.cpp
  Value* lower_lanes(const ir::Inst& inst);
  Value* lower_shift(const ir::Inst& inst, Value* a, Value* b);
  Value* lower_rounding(const ir::Inst& inst, Value* a, Value* b);
  Value* lower_product(const ir::Inst& inst, Value* a, Value* b);
  Value* lower_special(const ir::Inst& inst);
  Value* lower_status(const ir::Inst& inst);
  Value* lower_shift_status(const ir::Inst& inst);
  Value* value_status(Value* r);
  Value* put_status(Value* word, Value* truth, uint16_t bit);
  Value* lower_wide_division(const ir::Inst& inst);

  // --- lower_vector.cpp
  Value* lower_vector(const ir::Inst& inst);
  Value* lower_shuffle(const ir::Inst& inst);
  Value* lower_narrow(const ir::Inst& inst);
  Value* lower_product_vector(const ir::Inst& inst);

  // --- lower_float.cpp
  Value* lower_float(const ir::Inst& inst);
  Value* lower_float_arithmetic(const ir::Inst& inst);
  Value* lower_float_compare(const ir::Inst& inst);
  Value* lower_float_convert(const ir::Inst& inst);
  Value* lower_float_round(const ir::Inst& inst);
  enum class Check { Nan, NanOrTiny };
  Value* checked(const ir::Inst& inst, Value* result, ir::Type elem, Check check);
  Value* strict(llvm::Intrinsic::ID id, std::initializer_list<LType*> types,
                std::initializer_list<Value*> args, bool rounding);
  Value* strict_compare(llvm::Intrinsic::ID id, Value* a, Value* b, const char* predicate);

  // --- lower_float_native.cpp
  Value* float_assembly(const std::string& text, const char* constraints, LType* type,
                        std::vector<Value*> args);
  Value* lower_float_native(const ir::Inst& inst);
  Value* native_arithmetic(const ir::Inst& inst);
  Value* native_convert(const ir::Inst& inst, bool nearest);

  // --- lower_call.cpp
  Value* record(RecordPlan plan);
  Value* frame_at(uint32_t offset);
  void put_operand(unsigned k, Value* v, ir::Type type);
  Value* get_result(ir::Type type);
  void call_thunk(Value* record, baseline::RegionThunk thunk);
  Value* lower_by_record(const ir::Inst& inst);
  Value* call_value_record(const ir::Inst& inst);
  void lower_helper(ir::ValueId id, const ir::Inst& inst);

  // --- lower_memory.cpp
  bool lower_memory(ir::ValueId id, const ir::Inst& inst);
  Value* guest_pointer(Value* address, const ir::MemInfo& info);
  void mark(llvm::Instruction* access);
  void mark_assembly(llvm::CallInst* made);
  std::vector<Value*> state_for_fault();
  void note_places(uint64_t id, const std::vector<Value*>& values);
  Value* load_guest(LType* type, Value* pointer);
  void store_guest(Value* v, Value* pointer);
  Value* memory_record(const ir::Inst& inst);
  void stop_if_asked();
  template <typename F>
  Value* with_alignment(const ir::Inst& inst, const ir::MemInfo& info, F fast);
  Value* access(const ir::Inst& inst, const ir::MemInfo& info);
  Value* atomic(const ir::Inst& inst, const ir::MemInfo& info);
  Value* locked(const char* name, unsigned bits, Value* pointer, Value* v);
  Value* locked_compare(unsigned bits, Value* pointer, Value* expected, Value* desired);
  Value* store_exclusive(const ir::Inst& inst, const ir::MemInfo& info);

  // --- lower_control.cpp
  void lower_control(const ir::Inst& inst);
  void lower_jump_indirect(const ir::Inst& inst);
  /// A block that goes on at pc: inside the region or out of it.
  Block* target(uint64_t pc);
  void leave(const ExitPlan& plan);
  void check_requests(uint64_t pc, Block* go_on);
  void store_on_edge(size_t to);
  ExitPlan exit_to(uint64_t pc) const;
  ExitPlan raise_plan(const ir::Inst& inst) const;
  void tail_call(Value* code);

  llvm::LLVMContext& context_;
  llvm::Module& module_;
  const RegionTarget& target_;
  const RegionOptions options_;
  const bool places_;
  llvm::IRBuilder<llvm::TargetFolder> b_;

  const ir::Region* region_ = nullptr;
  std::vector<Field> fields_;
  FieldMap map_;
  DirtyAnalysis dirty_analysis_;
  LazyFlags lazy_;
  llvm::AllocaInst* recipe_ = nullptr;  ///< number of the recipe in force
  std::vector<llvm::AllocaInst*> leaves_;
  std::vector<llvm::AllocaInst*> homes_;  ///< of the fields

  llvm::Function* function_ = nullptr;
  llvm::FunctionType* function_type_ = nullptr;
  Value* state_ = nullptr;
  Value* frame_ = nullptr;
  std::vector<Block*> starts_;  ///< of the parts

  // Of the part that is being lowered.
  const ir::Block* block_ = nullptr;
  size_t part_ = 0;
  std::vector<Value*> values_;
  FieldSet dirty_;
  RecipeSet may_;  ///< recipes that may be in force
  uint64_t pc_ = 0, after_ = 0;
  bool mode_known_ = true;
  uint32_t mode_ = 0;
  bool failed_ = false;
};

}  // namespace lyrebird::jit::lowering
