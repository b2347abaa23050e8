# SPDX-License-Identifier: MIT
# The vmc module.
