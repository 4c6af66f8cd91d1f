// SPDX-License-Identifier: Apache-2.0
/// The GICv3 as the bus sees it: register blocks that lead to the one object. Only for gicv3*.cpp.
#pragma once

#include "devices/intc/gicv3.h"

namespace lyrebird::devices {

inline constexpr unsigned kSpurious = 1023;

class GicV3::Distributor final : public system::Device {
 public:
  explicit Distributor(GicV3& gic) : gic_(gic) {}
  uint64_t read(uint64_t offset, unsigned size) override { return gic_.read_distributor(offset, size); }
  void write(uint64_t offset, unsigned size, uint64_t value) override {
    gic_.write_distributor(offset, size, value);
  }
  void reset() override {}  // GicV3's own does it; so with the state
  void save(system::StateWriter&) const override {}
  Result<void> load(system::StateReader&) override { return {}; }
  std::mutex& mutex() override { return gic_.mutex_; }

 private:
  GicV3& gic_;
};

class GicV3::Redistributor final : public system::Device {
 public:
  Redistributor(GicV3& gic, unsigned cpu) : gic_(gic), cpu_(cpu) {}
  uint64_t read(uint64_t offset, unsigned size) override {
    return gic_.read_redistributor(cpu_, offset, size);
  }
  void write(uint64_t offset, unsigned size, uint64_t value) override {
    gic_.write_redistributor(cpu_, offset, size, value);
  }
  void reset() override {}  // as above
  void save(system::StateWriter&) const override {}
  Result<void> load(system::StateReader&) override { return {}; }
  std::mutex& mutex() override { return gic_.mutex_; }

 private:
  GicV3& gic_;
  const unsigned cpu_;
};

class GicV3::PpiSink final : public system::IrqSink {
 public:
  PpiSink(GicV3& gic, unsigned cpu) : gic_(gic), cpu_(cpu) {}
  void set_irq(unsigned id, bool level) override { gic_.set_ppi(cpu_, id, level); }

 private:
  GicV3& gic_;
  const unsigned cpu_;
};

}  // namespace lyrebird::devices
