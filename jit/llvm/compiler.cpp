// SPDX-License-Identifier: Apache-2.0
// The module's way in: one region, one LLVM module, one object in memory.
#include <llvm/CodeGen/MachineModuleInfo.h>
#include <llvm/CodeGen/Passes.h>
#include <llvm/CodeGen/TargetPassConfig.h>
#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/CommandLine.h>
#include <llvm/Support/ErrorHandling.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Target/TargetLoweringObjectFile.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/ADCE.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/GVN.h>
#include <llvm/Transforms/Scalar/LICM.h>
#include <llvm/Transforms/Scalar/LoopPassManager.h>
#include <llvm/Transforms/Scalar/SROA.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <utility>

#include "ir/verify.h"
#include "jit/llvm/lowering.h"
#include "jit/llvm/object.h"

namespace lyrebird::jit::lowering {

namespace {

std::string features_of(const baseline::HostFeatures& host) {
  std::string text = "+sse4.2,+crc32,+cx16";
  const auto add = [&](bool has, const char* names) {
    if (has) text += names;
  };
  add(host.avx, ",+avx");
  add(host.avx2, ",+avx2");
  add(host.fma, ",+fma");
  add(host.avx512, ",+avx512f,+avx512vl,+avx512bw,+avx512dq");
  add(host.bmi1, ",+bmi");
  add(host.bmi2, ",+bmi2");
  add(host.lzcnt, ",+lzcnt");
  add(host.popcnt, ",+popcnt");
  add(host.movbe, ",+movbe");
  add(host.aes, ",+aes");
  add(host.pclmul, ",+pclmul");
  add(host.sha, ",+sha");
  add(host.gfni, ",+gfni");
  return text;
}

/// LLVM's pass that widens byte loads takes no notice of the upper part of a register that the load's
/// own address uses for the last time: mov 46(%rsi), %sil becomes a movzbl to %esi.
void disable_widening_of_byte_moves() {
  auto& options = llvm::cl::getRegisteredOptions();
  const auto found = options.find("fixup-byte-word-insts");
  if (found != options.end()) static_cast<llvm::cl::opt<bool>*>(found->second)->setValue(false);
}

/// Microseconds of this thread's CPU time.
uint64_t cpu_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

/// Where LLVM's fatal errors go instead of ending the process. It knows no other way out than not to
/// return, so the jump leaves what it was doing as it is.
struct FatalExit {
  FatalExit() { current = this; }
  ~FatalExit() { current = nullptr; }
  FatalExit(const FatalExit&) = delete;
  FatalExit& operator=(const FatalExit&) = delete;

  static void leave(void*, const char* reason, bool) {
    if (!current) return;
    std::snprintf(current->reason, sizeof current->reason, "%s", reason);
    std::longjmp(current->env, 1);
  }

  std::jmp_buf env;
  char reason[200] = {};
  static thread_local FatalExit* current;
};
thread_local FatalExit* FatalExit::current = nullptr;

/// What LLVM needs from an empty module to an object. To set it up takes as long as to compile a small
/// region, so it is used again and again; but LLVM's context only grows, so not for ever.
class Pipeline {
 public:
  static constexpr unsigned kMostRegions = 200;

  explicit Pipeline(llvm::LLVMTargetMachine& machine) : machine_(machine) {
    llvm::PassBuilder builder(&machine_);
    builder.registerModuleAnalyses(modules_);
    builder.registerCGSCCAnalyses(calls_);
    builder.registerFunctionAnalyses(functions_);
    builder.registerLoopAnalyses(loops_);
    builder.crossRegisterProxies(loops_, functions_, calls_, modules_);

    passes_.addPass(llvm::SROAPass(llvm::SROAOptions::ModifyCFG));
    passes_.addPass(llvm::EarlyCSEPass(true));
    passes_.addPass(llvm::InstCombinePass());
    passes_.addPass(llvm::SimplifyCFGPass());
    passes_.addPass(llvm::createFunctionToLoopPassAdaptor(llvm::LICMPass(llvm::LICMOptions()), true));
    passes_.addPass(llvm::GVNPass());
    passes_.addPass(llvm::ADCEPass());

    // An error that nobody takes ends the process.
    context.setDiagnosticHandlerCallBack(
        [](const llvm::DiagnosticInfo* info, void* failed) {
          if (info->getSeverity() == llvm::DS_Error) *static_cast<bool*>(failed) = true;
        },
        &failed_);
    usable_ = add_code_generation();
  }

  bool worn_out() const { return used_ >= kMostRegions || !usable_; }

  void optimise(llvm::Module& module) {
    ++used_;
    for (llvm::Function& function : module)
      if (!function.isDeclaration()) passes_.run(function, functions_);
    loops_.clear();
    functions_.clear();
    calls_.clear();
    modules_.clear();
  }

  /// False: accesses cannot be told apart, or LLVM reports an error. `object` is valid until the next call.
  /// `places`: by the numbers of labels.
  bool generate(llvm::Module& module, const FaultMarks& marks, llvm::StringRef& object,
                std::map<uint32_t, FaultPlaces>& places) {
    marks_ = marks;
    failed_ = !usable_;
    object_.clear();
    if (failed_) return false;
    const_cast<llvm::TargetLoweringObjectFile*>(machine_.getObjFileLowering())
        ->Initialize(info_->getMMI().getContext(), machine_);
    code_passes_.run(module);
    object = {object_.data(), object_.size()};
    places = std::move(places_);
    return !failed_;
  }

  llvm::LLVMContext context;  ///< of the modules

 private:
  /// As TargetMachine::addPassesToEmitMC, with a pass of ours before the code is printed.
  bool add_code_generation() {
    info_ = new llvm::MachineModuleInfoWrapperPass(&machine_);
    llvm::TargetPassConfig* const config = machine_.createPassConfig(code_passes_);
    config->setDisableVerify(true);
    config->setEnableTailMerge(false);  // would make one of two accesses
    code_passes_.add(config);
    code_passes_.add(info_);
    if (config->addISelPasses()) return false;
    code_passes_.add(make_quiet_stack_maps());
    config->addMachinePasses();
    config->setInitialized();
    code_passes_.add(make_fault_labels(marks_, places_, failed_));
    if (machine_.addAsmPrinter(code_passes_, stream_, nullptr, llvm::CodeGenFileType::ObjectFile,
                               info_->getMMI().getContext()))
      return false;
    code_passes_.add(llvm::createFreeMachineFunctionPass());
    return true;
  }

  llvm::LLVMTargetMachine& machine_;
  llvm::LoopAnalysisManager loops_;
  llvm::FunctionAnalysisManager functions_;
  llvm::CGSCCAnalysisManager calls_;
  llvm::ModuleAnalysisManager modules_;
  llvm::FunctionPassManager passes_;

  FaultMarks marks_;
  std::map<uint32_t, FaultPlaces> places_;
  bool failed_ = false, usable_ = false;
  llvm::SmallVector<char, 0> object_;
  llvm::raw_svector_ostream stream_{object_};
  llvm::legacy::PassManager code_passes_;
  llvm::MachineModuleInfoWrapperPass* info_ = nullptr;  ///< in code_passes_
  unsigned used_ = 0;
};

class Compiler final : public RegionCompiler {
 public:
  explicit Compiler(const RegionTarget& target) : target_(target) {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();  // inline assembly
    static std::once_flag once;    // LLVM's options are of the process
    std::call_once(once, disable_widening_of_byte_moves);
    llvm::install_fatal_error_handler(&FatalExit::leave);
    llvm::install_bad_alloc_error_handler(&FatalExit::leave);
    std::string error;
    const char* const triple = "x86_64-unknown-linux-gnu";
    const llvm::Target* const found = llvm::TargetRegistry::lookupTarget(triple, error);
    if (!found) return;
    llvm::TargetOptions options;
    options.EnableFastISel = false;
    machine_.reset(static_cast<llvm::LLVMTargetMachine*>(
        found->createTargetMachine(triple, "x86-64", features_of(target.host), options, llvm::Reloc::PIC_,
                                   llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default, true)));
  }

  ~Compiler() override {
    llvm::remove_bad_alloc_error_handler();
    llvm::remove_fatal_error_handler();
  }

  std::optional<RegionCode> compile(const ir::Region& region, const RegionOptions& options) override;
  bool broken() const override { return broken_; }

 private:
  std::optional<RegionCode> compile_or_die(const ir::Region& region, const RegionOptions& options);
  std::optional<RegionCode> compile_with(const ir::Region& region, const RegionOptions& options, bool places);
  void break_if_wanted();
  std::nullopt_t refuse(const ir::Region& region, const std::string& why) const {
    if (verbose_)
      std::fprintf(stderr, "lyrebird: region at %#llx refused: %s\n",
                   static_cast<unsigned long long>(region.parts.front().block.key.pc), why.c_str());
    return std::nullopt;
  }
  void print(const llvm::Module& module, const char* when) const {
    if (verbose_) module.print(llvm::errs() << "; " << when << "\n", nullptr);
  }

  const RegionTarget target_;
  std::unique_ptr<llvm::LLVMTargetMachine> machine_;
  std::unique_ptr<Pipeline> pipeline_;
  const bool verbose_ = std::getenv("LYREBIRD_LLVM_VERBOSE") != nullptr;
  const char* const break_ = std::getenv("LYREBIRD_LLVM_BREAK");
  bool broken_ = false;
};

void Compiler::break_if_wanted() {
  if (!break_) return;
  if (std::strcmp(break_, "fatal") == 0) llvm::report_fatal_error("as LYREBIRD_LLVM_BREAK wants it");
  if (std::strcmp(break_, "fault") == 0) *reinterpret_cast<volatile char*>(8) = 1;
}

std::optional<RegionCode> Compiler::compile(const ir::Region& region, const RegionOptions& options) {
  if (!machine_) return refuse(region, "LLVM has no x86-64 in it");
  if (broken_) return refuse(region, "LLVM is in no good state");
  FatalExit fatal;
  if (setjmp(fatal.env) == 0) return compile_or_die(region, options);
  broken_ = true;
  return refuse(region, fatal.reason);
}

std::optional<RegionCode> Compiler::compile_or_die(const ir::Region& region, const RegionOptions& options) {
  if (!pipeline_ || pipeline_->worn_out()) {
    pipeline_.reset();
    pipeline_ = std::make_unique<Pipeline>(*machine_);
  }
  break_if_wanted();
  if (auto code = compile_with(region, options, true)) return code;
  if (options.worthwhile) return std::nullopt;
  return compile_with(region, options, false);
}

std::optional<RegionCode> Compiler::compile_with(const ir::Region& region, const RegionOptions& options,
                                                 bool places) {
  uint64_t times[3] = {cpu_time()};
  llvm::Module module("region", pipeline_->context);
  module.setTargetTriple(machine_->getTargetTriple().str());
  module.setDataLayout(machine_->createDataLayout());
  module.setPICLevel(llvm::PICLevel::SmallPIC);
  Lowering lowering(module, target_, options, places);
  if (!lowering.lower(region)) return refuse(region, "beyond the lowering");
  if (options.worthwhile && !lowering.slow.empty())
    return refuse(region, "calls the interpreter for " + lowering.slow);
  times[1] = cpu_time();
  print(module, "before");
  const uint64_t printed = cpu_time() - times[1];
  if constexpr (ir::kVerify) {
    if (llvm::verifyModule(module, &llvm::errs())) {
      module.print(llvm::errs(), nullptr);
      std::abort();
    }
  }
  pipeline_->optimise(module);
  times[2] = cpu_time() - printed;
  print(module, "after");
  const uint64_t start = cpu_time();
  llvm::StringRef object;
  std::map<uint32_t, FaultPlaces> found;
  if (!pipeline_->generate(module, lowering.marks, object, found))
    return refuse(region, "accesses cannot be told apart, or LLVM reports an error");
  RegionCode code;
  std::string why;
  if (!lay_out(object, lowering, found, region.parts.front().block.key.pc, code, why))
    return refuse(region, why);
  if (verbose_)
    std::fprintf(stderr,
                 "; %u blocks, %u guest instructions, %zu bytes: lowering %llu us, passes %llu, code %llu\n",
                 static_cast<unsigned>(region.parts.size()), region.guest_count(), code.bytes.size(),
                 static_cast<unsigned long long>(times[1] - times[0]),
                 static_cast<unsigned long long>(times[2] - times[1]),
                 static_cast<unsigned long long>(cpu_time() - start));
  return code;
}

}  // namespace

}  // namespace lyrebird::jit::lowering

extern "C" [[gnu::visibility("default")]] lyrebird::jit::RegionCompiler* lyrebird_make_region_compiler(
    const lyrebird::jit::RegionTarget* target) {
  return new lyrebird::jit::lowering::Compiler(*target);
}
