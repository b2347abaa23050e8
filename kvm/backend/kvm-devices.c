/* SPDX-License-Identifier: MIT */
/* What is plugged into the machine's PCI bus. */
#include "kvm/backend/kvm-machine.h"
int kvm_devices_init(struct machine *machine, const struct machine_config *config,
                     struct crosh_error *err)
{
    (void)config;
    (void)err;
    pci_bus_init(&machine->pci, LAYOUT_PCI_WINDOW, LAYOUT_PCI_WINDOW_SIZE);
    return 0;
}
void kvm_devices_fini(struct machine *machine)
{
    (void)machine;
}
