# SPDX-License-Identifier: MIT
# The vsh module.
