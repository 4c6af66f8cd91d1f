// SPDX-License-Identifier: Apache-2.0
/// What all threads of a guest process share of its signals.
#pragma once

namespace lyrebird::user {

struct ProcessSignals {};

}  // namespace lyrebird::user
