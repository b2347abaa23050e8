/* SPDX-License-Identifier: MIT */
/* Implements the 16550A (PC16550D data sheet, sections 8.1 to 8.7). */
#include "kvm/hw/serial.h"

#include <stdlib.h>
#include <sys/eventfd.h>

#include "kvm/snapshot/format.h"

enum {
    REG_DATA = 0, /* RBR, THR; DLL when DLAB is set */
    REG_IER = 1,  /* DLM when DLAB is set */
    REG_IIR = 2,  /* FCR when written */
    REG_LCR = 3,
    REG_MCR = 4,
    REG_LSR = 5,
    REG_MSR = 6,
    REG_SCR = 7,
};

enum {
    IER_RECEIVED = 0x01,
    IER_TRANSMIT_EMPTY = 0x02,
    IER_MASK = 0x0f,
    IIR_NONE = 0x01,
    IIR_TRANSMIT_EMPTY = 0x02,
    IIR_RECEIVED = 0x04,
    IIR_FIFO = 0xc0,
    FCR_ENABLE = 0x01,
    FCR_CLEAR_RECEIVER = 0x02,
    LCR_DLAB = 0x80,
    MCR_DTR = 0x01,
    MCR_RTS = 0x02,
    MCR_OUT1 = 0x04,
    MCR_OUT2 = 0x08,
    MCR_LOOP = 0x10,
    MCR_MASK = 0x1f,
    LSR_DATA_READY = 0x01,
    LSR_TRANSMIT_EMPTY = 0x60, /* holding and shift register */
    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,
};

void serial_init(struct serial *serial, int irq_fd, void (*output)(void *opaque, uint8_t byte),
                 void *opaque)
{
    *serial = (struct serial){.irq_fd = irq_fd, .output = output, .opaque = opaque, .dll = 1};
    pthread_mutex_init(&serial->lock, NULL);
}

void serial_fini(struct serial *serial)
{
    pthread_mutex_destroy(&serial->lock);
}

static uint8_t pending_interrupt(const struct serial *serial)
{
    if ((serial->ier & IER_RECEIVED) != 0 && serial->input_count > 0)
        return IIR_RECEIVED;
    if ((serial->ier & IER_TRANSMIT_EMPTY) != 0 && serial->thr_interrupt)
        return IIR_TRANSMIT_EMPTY;
    return IIR_NONE;
}

static void update_interrupt(struct serial *serial)
{
    /* OUT2 is not looked at: on a PC it gates the line, and Linux always sets it. */
    if (pending_interrupt(serial) != IIR_NONE && serial->irq_fd >= 0)
        (void)eventfd_write(serial->irq_fd, 1);
}

static void push_input(struct serial *serial, uint8_t byte)
{
    size_t tail = (serial->input_head + serial->input_count) % sizeof(serial->input);

    serial->input[tail] = byte;
    serial->input_count++;
}

static uint8_t read_data(struct serial *serial)
{
    uint8_t byte;

    if (serial->input_count == 0)
        return 0;
    byte = serial->input[serial->input_head];
    serial->input_head = (serial->input_head + 1) % sizeof(serial->input);
    serial->input_count--;
    /* The line is edge-triggered for the guest: what is left must raise it anew. */
    update_interrupt(serial);
    return byte;
}

static uint8_t read_iir(struct serial *serial)
{
    uint8_t iir = pending_interrupt(serial);

    if (iir == IIR_TRANSMIT_EMPTY)
        serial->thr_interrupt = false;
    return iir | (serial->fifo_enabled ? IIR_FIFO : 0);
}

/* In loopback the modem outputs are seen as inputs: drivers probe the port so. */
static uint8_t read_msr(const struct serial *serial)
{
    if ((serial->mcr & MCR_LOOP) == 0)
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return ((serial->mcr & MCR_RTS) != 0 ? MSR_CTS : 0) |
           ((serial->mcr & MCR_DTR) != 0 ? MSR_DSR : 0) |
           ((serial->mcr & MCR_OUT1) != 0 ? MSR_RI : 0) |
           ((serial->mcr & MCR_OUT2) != 0 ? MSR_DCD : 0);
}

static uint64_t serial_read(void *opaque, uint64_t offset, unsigned int size)
{
    struct serial *serial = opaque;
    bool dlab;
    uint8_t value = 0;

    (void)size; /* the UART has an 8-bit bus: wider reads see one register */
    pthread_mutex_lock(&serial->lock);
    dlab = (serial->lcr & LCR_DLAB) != 0;
    switch (offset) {
    case REG_DATA:
        value = dlab ? serial->dll : read_data(serial);
        break;
    case REG_IER:
        value = dlab ? serial->dlm : serial->ier;
        break;
    case REG_IIR:
        value = read_iir(serial);
        break;
    case REG_LCR:
        value = serial->lcr;
        break;
    case REG_MCR:
        value = serial->mcr;
        break;
    case REG_LSR:
        value = LSR_TRANSMIT_EMPTY | (serial->input_count > 0 ? LSR_DATA_READY : 0);
        break;
    case REG_MSR:
        value = read_msr(serial);
        break;
    case REG_SCR:
        value = serial->scr;
        break;
    }
    pthread_mutex_unlock(&serial->lock);
    return value;
}

/* Whether the byte is for the output. */
static bool write_data(struct serial *serial, uint8_t value)
{
    bool is_loop = (serial->mcr & MCR_LOOP) != 0;

    if (is_loop && serial->input_count < sizeof(serial->input))
        push_input(serial, value);
    serial->thr_interrupt = true; /* sent at once */
    update_interrupt(serial);
    return !is_loop;
}

static void write_ier(struct serial *serial, uint8_t value)
{
    /* Enabling the transmitter's interrupt while it is empty raises it at once. */
    if ((value & ~serial->ier & IER_TRANSMIT_EMPTY) != 0)
        serial->thr_interrupt = true;
    serial->ier = value & IER_MASK;
    update_interrupt(serial);
}

static void serial_write(void *opaque, uint64_t offset, uint64_t value64, unsigned int size)
{
    struct serial *serial = opaque;
    uint8_t value = (uint8_t)value64;
    bool dlab, is_output = false;

    (void)size;
    pthread_mutex_lock(&serial->lock);
    dlab = (serial->lcr & LCR_DLAB) != 0;
    switch (offset) {
    case REG_DATA:
        if (dlab)
            serial->dll = value;
        else
            is_output = write_data(serial, value);
        break;
    case REG_IER:
        if (dlab)
            serial->dlm = value;
        else
            write_ier(serial, value);
        break;
    case REG_IIR:
        serial->fifo_enabled = (value & FCR_ENABLE) != 0;
        if ((value & FCR_CLEAR_RECEIVER) != 0)
            serial->input_count = 0;
        break;
    case REG_LCR:
        serial->lcr = value;
        break;
    case REG_MCR:
        serial->mcr = value & MCR_MASK;
        break;
    case REG_SCR:
        serial->scr = value;
        break;
    }
    pthread_mutex_unlock(&serial->lock);
    /* Without the lock: the output waits for room that another thread makes, and that one may
       be about to bring input. */
    if (is_output)
        serial->output(serial->opaque, value);
}

const struct bus_ops serial_bus_ops = {.read = serial_read, .write = serial_write};

size_t serial_input(struct serial *serial, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    size_t done = 0;

    pthread_mutex_lock(&serial->lock);
    while (done < size && serial->input_count < sizeof(serial->input))
        push_input(serial, bytes[done++]);
    if (done > 0)
        update_interrupt(serial);
    pthread_mutex_unlock(&serial->lock);
    return done;
}

Snapshot__Serial *serial_save(struct serial *serial)
{
    Snapshot__Serial *state = SNAPSHOT_NEW(Snapshot__Serial, snapshot__serial__init);

    if (state == NULL)
        return NULL;
    pthread_mutex_lock(&serial->lock);
    state->ier = serial->ier;
    state->lcr = serial->lcr;
    state->mcr = serial->mcr;
    state->scr = serial->scr;
    state->divisor = serial->dll | (uint32_t)serial->dlm << 8;
    state->fifo_enabled = serial->fifo_enabled;
    state->thr_interrupt = serial->thr_interrupt;
    if (serial->input_count > 0)
        state->input.data = malloc(serial->input_count);
    for (size_t i = 0; state->input.data != NULL && i < serial->input_count; i++)
        state->input.data[state->input.len++] =
            serial->input[(serial->input_head + i) % sizeof(serial->input)];
    pthread_mutex_unlock(&serial->lock);
    return state;
}

void serial_restore(struct serial *serial, const Snapshot__Serial *state)
{
    pthread_mutex_lock(&serial->lock);
    serial->ier = (uint8_t)state->ier & IER_MASK;
    serial->lcr = (uint8_t)state->lcr;
    serial->mcr = (uint8_t)state->mcr & MCR_MASK;
    serial->scr = (uint8_t)state->scr;
    serial->dll = (uint8_t)state->divisor;
    serial->dlm = (uint8_t)(state->divisor >> 8);
    serial->fifo_enabled = state->fifo_enabled;
    serial->thr_interrupt = state->thr_interrupt;
    serial->input_head = serial->input_count = 0;
    for (size_t i = 0; i < state->input.len && serial->input_count < sizeof(serial->input); i++)
        push_input(serial, state->input.data[i]);
    update_interrupt(serial);
    pthread_mutex_unlock(&serial->lock);
}
