/* An output in C, without a line of Rust: it writes one line for each call into a file.
 *
 * The types are those of plugin-api/src/abi: what crosses the boundary has C layouts, and the library exports the plain
 * root `scanbridge_root_2` and an identity section. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { const uint8_t *ptr; size_t len; } BytesRef;
typedef struct Owner { void (*free)(uint8_t *ptr, size_t len, size_t cap); } Owner;
typedef struct { uint8_t *ptr; size_t len, cap; const Owner *owner; } Bytes;
typedef struct { uint32_t code, flags; uint64_t wait_ms; Bytes detail; } Status;

typedef struct {
    uint32_t size, reserved;
    const void *context;
    const void *(*get_table)(const void *context, BytesRef id);
} Host2;
typedef struct {
    uint32_t (*level)(const void *context);
    void (*log)(const void *context, uint32_t level, BytesRef target, BytesRef message, BytesRef fields);
} Log1;

typedef struct { uint32_t size, flags; uint64_t number; } WriteFrame;              /* the beginning of it */
typedef struct { uint32_t size, flags; Bytes receipt; } CommittedFrame;            /* the beginning of it */
typedef struct Writer { FILE *file; unsigned commits; } Writer;

static void release(uint8_t *ptr, size_t len, size_t cap) { (void)len; (void)cap; free(ptr); }
static const Owner OWNER = { release };

static BytesRef text(const char *text) { return (BytesRef){ (const uint8_t *)text, strlen(text) }; }
static Bytes owned(const char *text) {
    size_t length = strlen(text);
    uint8_t *copy = malloc(length ? length : 1);
    memcpy(copy, text, length);
    return (Bytes){ copy, length, length, &OWNER };
}
static Status ok(void) { return (Status){ 0 }; }

/* The value of the option `path`; the file names of the test need no escapes. */
static char *path_of(BytesRef frame) {
    char *json = strndup((const char *)frame.ptr, frame.len);
    char *start = strstr(json, "\"path\":\"");
    char *path = NULL;
    if (start) {
        start += 8;
        path = strndup(start, strcspn(start, "\""));
    }
    free(json);
    return path;
}

static Status open_output(BytesRef frame, const BytesRef *receipt, const Host2 *host, Bytes *answer, void **handle) {
    char *path = path_of(frame);
    Writer *writer = calloc(1, sizeof *writer);
    int is_read_only = memmem(frame.ptr, frame.len, "\"purpose\":\"run\"", 15) == NULL;
    writer->file = is_read_only ? NULL : fopen(path, "a");
    free(path);
    const Log1 *log = host->get_table(host->context, text("log/1"));
    if (log)
        log->log(host->context, 3, text("c"), text("opened by C"), text("{\"lines\":0}"));
    if (host->get_table(host->context, text("no-such-service/9")) != NULL)
        return (Status){ .code = 7, .flags = 8, .detail = owned("{\"message\":\"a service that does not exist\"}") };
    if (writer->file) {
        if (receipt)
            fprintf(writer->file, "open after %.*s\n", (int)receipt->len, (const char *)receipt->ptr);
        else
            fprintf(writer->file, "open\n");
    }
    *answer = owned("{\"api\":\"2.0\",\"capabilities\":{\"resume\":\"repeats\",\"partial\":\"adds\"}}");
    *handle = writer;
    return ok();
}

static Status check_output(void *handle, Bytes *report) {
    (void)handle;
    *report = owned("{\"steps\":[{\"name\":\"C\",\"verdict\":\"ok\",\"detail\":\"ready\"}]}");
    return ok();
}

static Status begin_report(void *handle, BytesRef report, uint32_t flags) {
    (void)report;
    fprintf(((Writer *)handle)->file, "begin %u\n", flags);
    return ok();
}

static Status write_batch(void *handle, const WriteFrame *frame, void *written) {
    (void)written; /* Every finding counts as written. */
    fprintf(((Writer *)handle)->file, "write %llu\n", (unsigned long long)frame->number);
    return ok();
}

static Status end_report(void *handle, BytesRef end, void *written) {
    (void)written;
    int is_complete = memmem(end.ptr, end.len, "\"complete\":true", 15) != NULL;
    fprintf(((Writer *)handle)->file, "end %d\n", is_complete);
    return ok();
}

static Status commit(void *handle, uint32_t flags, CommittedFrame *committed) {
    Writer *writer = handle;
    char receipt[32];
    (void)flags;
    snprintf(receipt, sizeof receipt, "receipt %u", ++writer->commits);
    fflush(writer->file);
    committed->flags = 1;
    committed->receipt = owned(receipt);
    return ok();
}

static Status stored(void *handle, BytesRef receipt) {
    fprintf(((Writer *)handle)->file, "stored %.*s\n", (int)receipt.len, (const char *)receipt.ptr);
    return ok();
}

static Status close_output(void *handle) {
    Writer *writer = handle;
    if (writer->file)
        fclose(writer->file);
    free(writer);
    return ok();
}

static const struct {
    uint32_t size, flags;
    Status (*open)(BytesRef, const BytesRef *, const Host2 *, Bytes *, void **);
    Status (*check)(void *, Bytes *);
    Status (*begin)(void *, BytesRef, uint32_t);
    Status (*write)(void *, const WriteFrame *, void *);
    Status (*end)(void *, BytesRef, void *);
    Status (*commit)(void *, uint32_t, CommittedFrame *);
    Status (*stored)(void *, BytesRef);
    Status (*close)(void *);
} OUTPUT_2 = {
    sizeof OUTPUT_2, 0, open_output, check_output, begin_report, write_batch, end_report, commit, stored, close_output,
};

static void describe(Bytes *out) {
    *out = owned("[{\"name\":\"C\",\"kind\":\"output\",\"version\":\"1.0\",\"summary\":\"one line for each call\","
                 "\"tables\":[\"output/2\"],\"capabilities\":{\"resume\":\"repeats\",\"partial\":\"adds\"},"
                 "\"options\":[{\"name\":\"path\",\"kind\":{\"type\":\"path\"},\"required\":true,\"help\":\"the file\"}]}]");
}

static const void *get_table(BytesRef id, BytesRef plugin) {
    (void)plugin;
    return id.len == 8 && memcmp(id.ptr, "output/2", 8) == 0 ? &OUTPUT_2 : NULL;
}

const struct {
    uint32_t size, abi;
    void (*describe)(Bytes *);
    const void *(*get_table)(BytesRef, BytesRef);
} scanbridge_root_2 = { sizeof scanbridge_root_2, 2, describe, get_table };

__attribute__((section(".scanbridge"), used)) static const char IDENTITY[] =
    "scanbridge-plugin\nabi=2\nroot=plain\napi=2.0\ntarget=" TARGET "\ncrate=c-plugin\nversion=1.0\0"
    "plugin output C";
