/* Stands in front of Python's allocators, one function for all domains, as profilers do. */

#include <stddef.h>

typedef struct {
    void *context;
    void *(*malloc)(void *, size_t);
    void *(*calloc)(void *, size_t, size_t);
    void *(*realloc)(void *, void *, size_t);
    void (*free)(void *, void *);
} Table;

void PyMem_GetAllocator(int, Table *);
void PyMem_SetAllocator(int, Table *);

static void *forward_malloc(void *context, size_t size) {
    const Table *below = context;
    return below->malloc(below->context, size);
}

static void *forward_calloc(void *context, size_t count, size_t size) {
    const Table *below = context;
    return below->calloc(below->context, count, size);
}

static void *forward_realloc(void *context, void *block, size_t size) {
    const Table *below = context;
    return below->realloc(below->context, block, size);
}

static void forward_free(void *context, void *block) {
    const Table *below = context;
    below->free(below->context, block);
}

void forward(void) {
    static Table below[3];
    for (int domain = 0; domain < 3; domain++) {
        PyMem_GetAllocator(domain, &below[domain]);
        Table table = {&below[domain], forward_malloc, forward_calloc, forward_realloc,
                       forward_free};
        PyMem_SetAllocator(domain, &table);
    }
}
