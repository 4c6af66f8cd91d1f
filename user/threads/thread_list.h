// SPDX-License-Identifier: Apache-2.0
/// The threads of a guest process.
#pragma once

namespace lyrebird::user {

struct ThreadList {};

}  // namespace lyrebird::user
