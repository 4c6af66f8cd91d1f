// SPDX-License-Identifier: Apache-2.0
/// Interrupt lines and message-signalled interrupts, as seen by who raises them.
#pragma once

#include <cstdint>

namespace lyrebird::system {

/// Where lines end: an interrupt controller, a vCPU, a test. Called from any thread, with the raising
/// device's mutex held. Setting a line to the level it has changes nothing.
class IrqSink {
 public:
  virtual ~IrqSink() = default;
  virtual void set_irq(unsigned number, bool level) = 0;
};

/// One line. A value; a default one goes nowhere.
class IrqLine {
 public:
  IrqLine() = default;
  IrqLine(IrqSink& sink, unsigned number) : sink_(&sink), number_(number) {}

  void set(bool level) const {
    if (sink_) sink_->set_irq(number_, level);
  }
  void raise() const { set(true); }
  void lower() const { set(false); }
  /// For lines that the controller takes by their edge.
  void pulse() const {
    set(true);
    set(false);
  }
  bool connected() const { return sink_ != nullptr; }

 private:
  IrqSink* sink_ = nullptr;
  unsigned number_ = 0;
};

/// Where message-signalled interrupts go. `requester` is the PCI requester id (bus << 8 | devfn) or 0.
class MsiSink {
 public:
  virtual ~MsiSink() = default;
  virtual void send(uint64_t address, uint32_t data, uint32_t requester) = 0;
};

}  // namespace lyrebird::system
