"""cffi build of the extension ``tetragon.kernel._libbpf``: libbpf, and a batch ring reader in C.

libbpf is linked dynamically (libbpf.so.1): the static archives distributions ship are not
position independent, so they cannot become part of a Python extension.

Calls release the GIL. The ring reader follows the kernel's documented layout: a writable page with
the consumer position, then a read-only page with the producer position, then the data twice.

Source  Documentation/bpf/ringbuf.rst; struct bpf_ringbuf_hdr in kernel/bpf/ringbuf.c
"""

from pathlib import Path

from cffi import FFI

ffibuilder = FFI()

ffibuilder.cdef("""
    struct bpf_object;
    struct bpf_program;
    struct bpf_map;
    struct bpf_link;

    struct bpf_object *tg_object_open(const char *name, const void *data, size_t size);
    int bpf_object__load(struct bpf_object *);
    void bpf_object__close(struct bpf_object *);
    struct bpf_program *bpf_object__find_program_by_name(const struct bpf_object *, const char *);
    struct bpf_map *bpf_object__find_map_by_name(const struct bpf_object *, const char *);
    struct bpf_program *bpf_object__next_program(const struct bpf_object *, struct bpf_program *);
    struct bpf_map *bpf_object__next_map(const struct bpf_object *, const struct bpf_map *);
    const char *bpf_program__name(const struct bpf_program *);
    int bpf_program__set_autoload(struct bpf_program *, bool);
    int bpf_program__fd(const struct bpf_program *);
    struct bpf_link *bpf_program__attach(const struct bpf_program *);
    int bpf_link__fd(const struct bpf_link *);
    int bpf_link__destroy(struct bpf_link *);
    const char *bpf_map__name(const struct bpf_map *);
    int bpf_map__fd(const struct bpf_map *);
    int bpf_map__set_max_entries(struct bpf_map *, uint32_t);
    uint32_t bpf_map__max_entries(const struct bpf_map *);
    uint32_t bpf_map__value_size(const struct bpf_map *);
    const void *bpf_map__initial_value(struct bpf_map *, size_t *);
    int bpf_iter_create(int link_fd);
    int bpf_map_lookup_elem(int fd, const void *key, void *value);
    int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags);
    int libbpf_num_possible_cpus(void);

    struct tg_variable { const char *section; uint32_t offset; uint32_t size; };
    int tg_find_variable(const struct bpf_object *, const char *name, struct tg_variable *out);

    struct tg_prog_info { uint32_t id; uint32_t verified_insns; uint64_t run_ns; uint64_t runs; };
    int tg_program_info(int fd, struct tg_prog_info *out);

    void tg_log_start(void);
    size_t tg_log_take(char *to, size_t size);

    struct tg_ring;
    struct tg_ring *tg_ring_open(int map_fd, uint32_t size);
    void tg_ring_close(struct tg_ring *);
    int tg_ring_drain(struct tg_ring *, void *to, uint32_t size, uint32_t *table, uint32_t most);
    uint64_t tg_ring_pending(struct tg_ring *);
    int tg_errno(void);
    void tg_trim(void);
""")

SOURCE = r"""
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What libbpf says goes to a buffer of the calling thread, for the error that may follow. */
#define LOG_SIZE (1 << 20)
static __thread char *log_text;
static __thread size_t log_used;

static int keep_log(enum libbpf_print_level level, const char *format, va_list args)
{
    int length;

    if (level == LIBBPF_DEBUG || !log_text || log_used >= LOG_SIZE - 1)
        return 0;
    length = vsnprintf(log_text + log_used, LOG_SIZE - log_used, format, args);
    if (length > 0)
        log_used += (size_t)length;
    if (log_used > LOG_SIZE - 1)
        log_used = LOG_SIZE - 1;
    return length;
}

static void tg_log_start(void)
{
    libbpf_set_print(keep_log);
    if (!log_text)
        log_text = malloc(LOG_SIZE);
    log_used = 0;
}

static size_t tg_log_take(char *to, size_t size)
{
    size_t length = log_used < size ? log_used : size;

    if (log_text)
        memcpy(to, log_text, length);
    free(log_text);
    log_text = NULL;
    log_used = 0;
    return length;
}

static struct bpf_object *tg_object_open(const char *name, const void *data, size_t size)
{
    LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = name);

    return bpf_object__open_mem(data, size, &options);
}

struct tg_variable { const char *section; uint32_t offset; uint32_t size; };

/* Where a global variable lies. The compiler leaves offsets in BTF empty; opening fills them in. */
static int tg_find_variable(const struct bpf_object *object, const char *name,
                            struct tg_variable *out)
{
    const struct btf *types = bpf_object__btf(object);
    uint32_t id, at, count = types ? btf__type_cnt(types) : 0;

    for (id = 1; id < count; id++) {
        const struct btf_type *section = btf__type_by_id(types, id);

        if (!btf_is_datasec(section))
            continue;
        for (at = 0; at < btf_vlen(section); at++) {
            const struct btf_var_secinfo *place = btf_var_secinfos(section) + at;
            const struct btf_type *variable = btf__type_by_id(types, place->type);

            if (strcmp(btf__name_by_offset(types, variable->name_off), name))
                continue;
            out->section = btf__name_by_offset(types, section->name_off);
            out->offset = place->offset;
            out->size = place->size;
            return 0;
        }
    }
    return -ENOENT;
}

struct tg_prog_info { uint32_t id; uint32_t verified_insns; uint64_t run_ns; uint64_t runs; };

static int tg_program_info(int fd, struct tg_prog_info *out)
{
    struct bpf_prog_info info = {};
    uint32_t size = sizeof(info);
    int error = bpf_obj_get_info_by_fd(fd, &info, &size);

    out->id = info.id;
    out->verified_insns = info.verified_insns;
    out->run_ns = info.run_time_ns;
    out->runs = info.run_cnt;
    return error;
}

struct tg_ring {
    uint64_t *consumer;
    uint64_t *producer;
    uint8_t *data;
    uint64_t mask;
    size_t page;
};

static void tg_ring_close(struct tg_ring *ring)
{
    if (ring->consumer)
        munmap(ring->consumer, ring->page);
    if (ring->producer)
        munmap(ring->producer, ring->page + 2 * (ring->mask + 1));
    free(ring);
}

static struct tg_ring *tg_ring_open(int map_fd, uint32_t size)
{
    struct tg_ring *ring = calloc(1, sizeof(*ring));
    void *memory;
    int error;

    if (!ring)
        return NULL;
    ring->page = (size_t)sysconf(_SC_PAGESIZE);
    ring->mask = size - 1;
    memory = mmap(NULL, ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
    if (memory == MAP_FAILED)
        goto fail;
    ring->consumer = memory;
    memory = mmap(NULL, ring->page + 2 * (size_t)size, PROT_READ, MAP_SHARED, map_fd,
                  (off_t)ring->page);
    if (memory == MAP_FAILED)
        goto fail;
    ring->producer = memory;
    ring->data = (uint8_t *)memory + ring->page;
    return ring;
fail:
    error = errno;
    tg_ring_close(ring);
    errno = error;
    return NULL;
}

/* Bytes between reader and writer, records that are still being written included. */
static uint64_t tg_ring_pending(struct tg_ring *ring)
{
    return __atomic_load_n(ring->producer, __ATOMIC_SEQ_CST) -
           __atomic_load_n(ring->consumer, __ATOMIC_SEQ_CST);
}

/* Move ready records to `to`, each at a multiple of 8; table gets (offset, size) of each.
 * Returns how many; 0 when none is ready. Stops when `to` or the table is full. */
static int tg_ring_drain(struct tg_ring *ring, void *to, uint32_t size, uint32_t *table,
                         uint32_t most)
{
    uint64_t at = __atomic_load_n(ring->consumer, __ATOMIC_RELAXED);
    uint64_t end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
    uint32_t used = 0, count = 0;

    while (at < end && count < most) {
        uint32_t *header = (uint32_t *)(ring->data + (at & ring->mask));
        uint32_t word = __atomic_load_n(header, __ATOMIC_ACQUIRE);
        uint32_t length, room;

        if (word & BPF_RINGBUF_BUSY_BIT)
            break;
        length = word & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
        room = (length + 7) & ~7u;
        if (!(word & BPF_RINGBUF_DISCARD_BIT)) {
            if (room > size - used)
                break;
            memcpy((uint8_t *)to + used, (uint8_t *)header + BPF_RINGBUF_HDR_SZ, length);
            table[2 * count] = used;
            table[2 * count + 1] = length;
            count++;
            used += room;
        }
        at += room + BPF_RINGBUF_HDR_SZ;
    }
    __atomic_store_n(ring->consumer, at, __ATOMIC_SEQ_CST);
    return (int)count;
}

static int tg_errno(void) { return errno; }

/* Give memory that loading needed for a moment (kernel BTF) back to the system. */
static void tg_trim(void) { malloc_trim(0); }
"""

ffibuilder.set_source(
    "tetragon.kernel._libbpf",
    SOURCE,
    extra_compile_args=["-O2", "-Wall"],
    libraries=["bpf"],
)


def main() -> None:
    """Build in place, for a development checkout."""
    ffibuilder.compile(tmpdir=str(Path(__file__).resolve().parents[2]), verbose=False)


if __name__ == "__main__":
    main()
