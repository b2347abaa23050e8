/* SPDX-License-Identifier: MIT */
/* Implements the stepwise run of a bare-metal guest. */
#include "tests/kvm/guest-run.h"

#include "tests/unit/cmocka-prelude.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOAD = 0x100000, LIMIT_MS = 20000, STEP_MS = 10 };

void guest_run_need_kvm(void)
{
    if (access("/dev/kvm", R_OK | W_OK) < 0) {
        print_message("skipped: /dev/kvm: %s\n", strerror(errno));
        skip();
    }
}

static void on_output(void *opaque, const void *data, size_t size)
{
    struct guest_run *run = opaque;

    run->output_total += size;
    if (size > sizeof(run->output))
        size = sizeof(run->output);
    if (run->output_size + size > sizeof(run->output))
        run->output_size = 0;
    memcpy(run->output + run->output_size, data, size);
    run->output_size += size;
}

static void on_ended(void *opaque, enum machine_end end, const char *detail)
{
    struct guest_run *run = opaque;

    run->has_ended = true;
    run->end = end;
    (void)snprintf(run->detail, sizeof(run->detail), "%s", detail);
}

static void on_paused(void *opaque, bool is_quiet)
{
    struct guest_run *run = opaque;

    run->paused_calls++;
    run->is_quiet = is_quiet;
}

static void on_disk_gone(void *opaque, const char *name)
{
    struct guest_run *run = opaque;

    run->disks_gone++;
    (void)snprintf(run->gone_disk, sizeof(run->gone_disk), "%s", name);
}

static void on_timer(void *opaque)
{
    struct guest_run *run = opaque;

    event_loop_quit(run->loop);
}

#ifdef __aarch64__
/* An Image whose header's first instruction jumps behind it. */
static size_t make_header(uint8_t *out, size_t program_size)
{
    enum { HEADER = 64, BRANCH = 0x14000000 | HEADER / 4 };
    uint32_t branch = BRANCH;
    uint64_t image_size = HEADER + program_size;

    memset(out, 0, HEADER);
    memcpy(out, &branch, sizeof(branch));
    memcpy(out + 16, &image_size, sizeof(image_size));
    memcpy(out + 56, "ARM\x64", 4);
    return HEADER;
}
#else
/* An ELF file that is loaded and entered at LOAD. */
static size_t make_header(uint8_t *out, size_t program_size)
{
    Elf64_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_entry = LOAD,
        .e_phoff = sizeof(header),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 1,
    };
    Elf64_Phdr segment = {.p_type = PT_LOAD,
                          .p_offset = sizeof(header) + sizeof(segment),
                          .p_paddr = LOAD,
                          .p_filesz = program_size,
                          .p_memsz = program_size};

    memcpy(out, &header, sizeof(header));
    memcpy(out + sizeof(header), &segment, sizeof(segment));
    return sizeof(header) + sizeof(segment);
}
#endif

void guest_run_write_kernel(char *path, const struct guest_program *program)
{
    size_t size = (size_t)(program->end - program->start), header_size;
    uint8_t header[256];
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    header_size = make_header(header, size);
    assert_int_equal(write(fd, header, header_size), header_size);
    assert_int_equal(write(fd, program->start, size), size);
    close(fd);
}

void guest_run_create(struct guest_run *run, const struct machine_config *config)
{
    struct machine_host host = {.opaque = run,
                                .console_output = on_output,
                                .ended = on_ended,
                                .paused = on_paused,
                                .disk_gone = on_disk_gone};
    struct crosh_error err = {0};

    *run = (struct guest_run){.loop = event_loop_new(&err)};
    assert_non_null(run->loop);
    run->timer = event_timer_add(run->loop, on_timer, run);
    assert_non_null(run->timer);
    host.loop = run->loop;
    run->machine = machine_kvm.create(config, &host, &err);
    if (run->machine == NULL)
        fail_msg("create: %s", err.message);
}

void guest_run_build(struct guest_run *run, const struct guest_program *program, unsigned int vcpus)
{
    char path[] = "/tmp/crosh-guest-XXXXXX";
    struct machine_config config = {
        .name = "test", .kernel = path, .vcpus = vcpus, .memory_bytes = 64 << 20};

    guest_run_write_kernel(path, program);
    guest_run_create(run, &config);
    unlink(path);
}

void guest_run_start(struct guest_run *run)
{
    struct crosh_error err = {0};

    if (machine_kvm.start(run->machine, &err) < 0)
        fail_msg("start: %s", err.message);
}

void guest_run_for(struct guest_run *run, int64_t ms)
{
    struct crosh_error err = {0};

    event_timer_set(run->timer, ms);
    assert_int_equal(event_loop_run(run->loop, &err), 0);
}

bool guest_run_until(struct guest_run *run, bool (*done)(struct guest_run *run))
{
    for (unsigned int i = 0; i < LIMIT_MS / STEP_MS && !done(run); i++)
        guest_run_for(run, STEP_MS);
    return done(run);
}

bool guest_run_has_output(struct guest_run *run)
{
    return run->output_total > 0;
}

bool guest_run_is_quiet(struct guest_run *run)
{
    return run->paused_calls > 0 && run->is_quiet;
}

bool guest_run_has_ended(struct guest_run *run)
{
    return run->has_ended;
}

static void run_until(struct guest_run *run, const struct guest_program *program,
                      unsigned int vcpus, bool (*done)(struct guest_run *run))
{
    guest_run_need_kvm();
    guest_run_build(run, program, vcpus);
    guest_run_start(run);
    if (!guest_run_until(run, done))
        fail_msg("it does not come; ended: %d %s", run->has_ended, run->detail);
}

void guest_run_until_output(struct guest_run *run, const struct guest_program *program,
                            unsigned int vcpus)
{
    run_until(run, program, vcpus, guest_run_has_output);
}

void guest_run_until_end(struct guest_run *run, const struct guest_program *program,
                         unsigned int vcpus)
{
    run_until(run, program, vcpus, guest_run_has_ended);
}

void guest_run_pause(struct guest_run *run, enum machine_pause reason)
{
    run->paused_calls = 0;
    machine_kvm.pause(run->machine, reason);
    assert_int_equal(run->paused_calls, 0); /* never from within the call */
    assert_true(guest_run_until(run, guest_run_is_quiet));
}

void guest_run_free(struct guest_run *run)
{
    machine_kvm.destroy(run->machine);
    event_loop_free(run->loop);
    run->machine = NULL;
    run->loop = NULL;
}
