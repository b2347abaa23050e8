# SPDX-License-Identifier: MIT
# The launcher.
